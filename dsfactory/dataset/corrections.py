"""The run's ``fixes`` folder: masks that a person corrected, which win over those of the stages.

``fixes.json`` names each fix with the digests of the image that it was made for, of the mask that it replaces and of
its own files. The files are named by their digests too, so a kill at any moment leaves either the old fixes or the new.
"""

import contextlib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, Record
from dsfactory.errors import UserError
from dsfactory.storage.atomic import make_folder, remove_leftovers, write_atomic
from dsfactory.storage.lock import exclusive_lock

FOLDER = "fixes"
MANIFEST = "fixes.json"
_LOCK = ".lock"
_DIGEST = re.compile(r"[0-9a-f]{64}|")
_KEY = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,63}-)?[0-9]{8,20}")


def digest(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Correction:
    """One sample's labels, corrected by a person.

    Attributes:
        image_sha256: of the image (PNG) that the person saw.
        replaces_sha256: of the mask (PNG) that the run had; empty if it had none.
        mask_sha256: of the corrected class mask; empty when the person took all labels away.
        instances_sha256: of the corrected instances; empty when the class mask is.
        source: name of the file or folder that it came from.
        format: how that was written.
        decision: ``"keep"`` or ``"reject"`` where a person decided on the sample as it is; empty for a correction.
            A rejected one leaves the dataset, and its corrected mask, if it has one, stays here.
    """

    image_sha256: str
    replaces_sha256: str
    mask_sha256: str
    instances_sha256: str
    source: str
    format: str
    decision: str = ""

    @property
    def in_words(self) -> str:
        """What the person did."""
        if self.decision:
            return {"keep": "kept by hand", "reject": "rejected by hand"}[self.decision]
        return "corrected by hand" if self.mask_sha256 else "all labels taken away by hand"


@dataclass
class Corrections:
    """A run's fixes, as they were at one moment.

    Attributes:
        folder: where they are.
        entries: by sample key.
        refused: keys whose image has changed since, noted by :meth:`labels_of`.
    """

    folder: Path
    entries: dict[str, Correction] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run_path: Path) -> "Corrections":
        """The fixes of a run, which may have none.

        Raises:
            UserError: the list of fixes cannot be read.
        """
        folder = run_path / FOLDER
        try:
            content = json.loads((folder / MANIFEST).read_bytes())
            entries = {
                str(key): Correction(**{name: str(value) for name, value in fix.items()})
                for key, fix in content.items()
            }
        except FileNotFoundError:
            return cls(folder)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{folder / MANIFEST} cannot be read: restore it, or delete {folder}") from error
        for key, fix in entries.items():
            if (
                not _KEY.fullmatch(key)
                or fix.decision not in ("", "keep", "reject")
                or not all(_DIGEST.fullmatch(v) for n, v in asdict(fix).items() if "sha256" in n)
            ):
                raise UserError(f"{folder / MANIFEST} has an entry {key[:40]!r} that is none: restore it")
        return cls(folder, entries)

    @property
    def decisions(self) -> dict[str, int]:
        """How many samples a person kept and rejected as they are."""
        counts = Counter(fix.decision for fix in self.entries.values())
        return {name: counts[name] for name in ("keep", "reject")}

    @property
    def fingerprint(self) -> str:
        """Hash of all fixes; empty without any."""
        return digest(_as_json(self.entries)) if self.entries else ""

    def path(self, key: str, kind: str) -> Path:
        """Where a fix's ``mask`` or ``instances`` are."""
        fix = self.entries[key]
        return self.folder / _name(key, kind, fix.mask_sha256 if kind == "mask" else fix.instances_sha256)

    def read(self, key: str) -> tuple[bytes, bytes] | None:
        """A fix's class mask and instances as PNGs, or None when the person took all labels away or rejected it.

        Raises:
            UserError: a file is missing or is not what the list says.
        """
        fix = self.entries[key]
        if not fix.mask_sha256 or fix.decision == "reject":
            return None
        files = []
        for kind, expected in (("mask", fix.mask_sha256), ("instances", fix.instances_sha256)):
            path = self.path(key, kind)
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            if digest(data) != expected:
                advice = f"bring it back with 'dsfactory import', or take it away with --forget {key}"
                raise UserError(f"{path} is missing or damaged: {advice}")
            files.append(data)
        return files[0], files[1]

    def is_corrected(self, image: Record) -> bool:
        """Whether a person corrected the labels of an image, which is still the one that they saw."""
        fix = self.entries.get(image.key)
        return fix is not None and IMAGE in image.files and fix.image_sha256 == digest(image.files[IMAGE])

    def decision_of(self, image: Record) -> str:
        """What a person decided on a sample as it is: ``"keep"``, ``"reject"``, or nothing."""
        return self.entries[image.key].decision if self.is_corrected(image) else ""

    def labels_of(self, image: Record, masks: Record) -> tuple[bytes, bytes] | None:
        """A sample's class mask and instances, a person's where there are some, or None when it is not to be used.

        A fix also brings back a sample that was rejected or dropped: a person has judged it. One whose image has been
        generated again counts for nothing and is noted in ``refused``.

        Args:
            image: the sample with ``image.png``.
            masks: the sample with its row and, if it is kept, ``mask.png`` and ``instances.png``.
        """
        if self.is_corrected(image):
            return self.read(masks.key)
        if masks.key in self.entries and IMAGE in image.files:
            self.refused.append(masks.key)
        if masks.row["status"] != "ok":
            return None
        return masks.files["mask.png"], masks.files["instances.png"]


@contextlib.contextmanager
def changing_corrections(run_path: Path) -> Iterator["CorrectionsWriter"]:
    """A run's fixes, to be changed; all changes count from the end of the block, or none.

    Raises:
        UserError: ``fixes`` is a link or a file, or its list cannot be read.
        RunLocked: another process changes them.
    """
    folder = run_path / FOLDER
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder} is no folder of the run: move it away")
    make_folder(folder)
    with exclusive_lock(folder / _LOCK):
        remove_leftovers(folder)
        writer = CorrectionsWriter(Corrections.of(run_path))
        yield writer
        write_atomic(folder / MANIFEST, _as_json(writer.fixes.entries))
        writer.clear()


class CorrectionsWriter:
    """Adds fixes and takes them away."""

    def __init__(self, fixes: Corrections) -> None:
        self.fixes = fixes

    def add(self, key: str, fix: Mapping[str, str], files: tuple[bytes, bytes] | None) -> None:
        """Add or replace a fix.

        Args:
            key: the sample's.
            fix: the fields of :class:`Correction` beside the digests of its files.
            files: class mask and instances as PNGs; None when all labels are taken away.
        """
        digests = [digest(data) for data in files] if files else ["", ""]
        for kind, data, name in zip(("mask", "instances"), files or (), digests, strict=False):
            write_atomic(self.fixes.folder / _name(key, kind, name), data)
        self.fixes.entries[key] = Correction(**fix, mask_sha256=digests[0], instances_sha256=digests[1])

    def remove(self, key: str) -> None:
        self.fixes.entries.pop(key, None)

    def clear(self) -> None:
        """Delete files that no fix names any more."""
        entries = self.fixes.entries
        kept = {self.fixes.path(key, kind).name for key in entries for kind in ("mask", "instances")}
        for path in self.fixes.folder.glob("*.png"):
            if path.name not in kept and re.fullmatch(
                rf"{_KEY.pattern}-[0-9a-f]{{16}}\.(mask|instances)\.png", path.name
            ):
                path.unlink()


def _name(key: str, kind: str, sha256: str) -> str:
    return f"{key}-{sha256[:16]}.{kind}.png"


def _as_json(entries: Mapping[str, Correction]) -> bytes:
    content: dict[str, Any] = {key: asdict(entries[key]) for key in sorted(entries)}
    for entry in content.values():
        if not entry["decision"]:  # as it was before there were decisions: their hash is in exports
            del entry["decision"]
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def corrected_labels(run: Run, images: str, corrections: Corrections) -> dict[str, tuple[bytes, bytes] | None]:
    """The labels that a person corrected, by sample key; not those whose image has been made again since.

    Args:
        run: the run.
        images: folder of the stage that made the images.
        corrections: of the run.

    Returns:
        Class mask and instances as PNGs; None for a sample whose labels were all taken away.
    """
    found: dict[str, tuple[bytes, bytes] | None] = {}
    for spec in run.shards():
        if any(run.key(number) in corrections.entries for number in range(spec.start, spec.stop)):
            for record in run.reader(images, spec).records():
                entry = corrections.entries.get(record.key)
                if entry is not None and entry.image_sha256 == digest(record.files.get(IMAGE, b"")):
                    found[record.key] = corrections.read(record.key)
    return found
