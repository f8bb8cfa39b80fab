"""Bring corrected labels back into a run: ``dsfactory import``.

Three states are compared: what the export was made of, what came back, and what counts in the run now. An image that
came back as it was exported is left alone, whatever has become of its labels since.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, VOID, Record
from dsfactory.dataset.corrections import Corrections, CorrectionsWriter, changing_corrections, digest
from dsfactory.dataset.exported import Hashes, exported_hashes, label_hashes
from dsfactory.errors import UserError
from dsfactory.formats import IMPORT_FORMATS, find_format
from dsfactory.formats.reading.detect import format_of
from dsfactory.formats.reading.images import decode, rgb_pixels, same_picture
from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread, class_id, finished, same_labels
from dsfactory.formats.reading.source import Source
from dsfactory.jobs.labelled import LabelledImages
from dsfactory.runner.log import run_log
from dsfactory.runner.signals import check_stop
from dsfactory.storage.disk import disk_errors

Prefer = Literal["theirs", "mine"]
"""Whose labels count where both were changed: those that come back, or those of the run."""

Labels = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Class mask and instances, ``(height, width)`` each."""

_CONFLICT = (
    "was changed there, and corrected in the run since it was exported: --prefer theirs takes what comes back, "
    "--prefer mine keeps the run's"
)


@dataclass
class ImportSummary:
    """What an import did.

    Attributes:
        run: the run's directory.
        format: how what came back was written.
        read: samples whose labels came back.
        fixed: keys of those that differ from the run's labels: they are fixes now.
        emptied: keys of those among them that came back without any label, and are left out of exports.
        unchanged: number of samples that came back as they are, or as they were exported.
        reverted: keys of earlier fixes that were taken away.
        refused: reason by file name, for what cannot be brought back.
        total: fixes that the run has now.
        dry_run: whether nothing was written.
    """

    run: Path
    format: str = ""
    read: int = 0
    fixed: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    unchanged: int = 0
    reverted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    total: int = 0
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """3 when something was refused, else 0."""
        return 3 if self.refused else 0

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "run": str(self.run), "exit_code": self.exit_code}


def import_job(
    run_path: Path,
    path: Path,
    format: str | None = None,
    dry_run: bool = False,
    prefer: Prefer | None = None,
    binary: str | None = None,
) -> ImportSummary:
    """Compare labels that another tool wrote with the run's, and keep those that a person changed as fixes.

    Args:
        run_path: the run's directory.
        path: what the other tool wrote: a file, a folder or a zip.
        format: a name in :data:`dsfactory.formats.IMPORT_FORMATS`; None to tell it by the files.
        dry_run: only say what would be done.
        prefer: what to do where both were changed; None refuses these samples.
        binary: the class that binary PNG masks show.

    Raises:
        UserError: not a run, not refined yet, an unknown format, or a file that cannot be used; nothing was changed.
        DamagedShard: a shard of the run cannot be read.
        RunLocked: another process changes the run's fixes.
    """
    if format is not None:
        find_format(format, IMPORT_FORMATS)
    samples = LabelledImages(Run.open(run_path))
    with Source.open(path) as source:
        name = format or format_of(source)
        expected = _expected(samples, binary, name)
        reader = IMPORT_FORMATS[name].reader()
        summary = ImportSummary(run_path, name, dry_run=dry_run)
        job = _Import(source, samples, lambda: reader(source, expected), prefer, summary)
        if dry_run:
            for _ in job.changes(Corrections.of(run_path)):
                pass
            return summary
        with disk_errors(run_path, "nothing was changed"), run_log(run_path, "import") as ended:
            with changing_corrections(run_path) as writer:
                for key, change in job.changes(writer.fixes):
                    change.apply(key, writer, {"source": path.name, "format": name})
            summary.total = len(writer.fixes.entries)
            ended |= {"exit_code": summary.exit_code, "fixed": len(summary.fixed), "refused": len(summary.refused)}
    return summary


def _expected(samples: LabelledImages, binary: str | None, format: str) -> Expected:
    """What the reader has to know of the run.

    Raises:
        UserError: ``binary`` is no class, or not for this format.
    """
    classes = [item.name for item in samples.run.manifest.classes]
    if binary is None:
        return Expected(classes, samples.size)
    if format != "png":
        raise UserError(f"--binary is for PNG masks, not for {format}: leave it out")
    try:
        return Expected(classes, samples.size, class_id(binary, classes))
    except ValueError as error:
        raise UserError(f"--binary: {error}") from error


def forget_fixes(run_path: Path, keys: str) -> ImportSummary:
    """Take fixes away, so that the run's own labels count again.

    Args:
        run_path: the run's directory.
        keys: sample keys separated by commas, or ``"all"``.

    Raises:
        UserError: not a run, or a sample has no fix.
    """
    Run.open(run_path)
    fixes = Corrections.of(run_path)
    names = sorted(fixes.entries) if keys == "all" else [key.strip() for key in keys.split(",")]
    unknown = [key for key in names if key not in fixes.entries]
    if unknown:
        raise UserError(f"{run_path} has no fix for {unknown[0]!r}: see 'dsfactory status {run_path}'")
    summary = ImportSummary(run_path, reverted=names)
    if names:
        with changing_corrections(run_path) as writer:
            for key in names:
                writer.remove(key)
            summary.total = len(writer.fixes.entries)
    return summary


@dataclass(frozen=True)
class _Change:
    """One sample's fix is added, with or without labels; or it is taken away where it has no digests."""

    digests: dict[str, str] | None
    files: tuple[bytes, bytes] | None = None

    def apply(self, key: str, writer: CorrectionsWriter, origin: dict[str, str]) -> None:
        if self.digests is None:
            writer.remove(key)
        else:
            writer.add(key, {**self.digests, **origin}, self.files)


@dataclass
class _Import:
    """One import.

    Attributes:
        source: what came back.
        samples: of the run.
        read: begins to read the labels that came back, from the start each time.
        prefer: see :func:`import_job`.
        summary: to be filled in.
    """

    source: Source
    samples: LabelledImages
    read: Callable[[], Iterator[FixedLabels | Unread]]
    prefer: Prefer | None
    summary: ImportSummary

    def changes(self, fixes: Corrections) -> Iterator[tuple[str, _Change]]:
        """What is to become of the run's fixes, by key.

        All is read twice: what was exported when, and what is there twice, is known only at the end.
        """
        said = self._survey()
        exported = exported_hashes(self.samples.run.path, said)
        likely = _most_alike(exported, said)
        classes = [item.name for item in self.samples.run.manifest.classes]
        for item in self.read():
            check_stop()
            key = self.samples.key_of(item.name) if isinstance(item, FixedLabels) else ""
            if not isinstance(item, FixedLabels) or said.pop(key, None) is None:
                continue
            self.summary.read += 1
            terms, hashed = item.said
            if any(key in hashes and hashes[key][terms] == hashed for hashes in exported):
                self.summary.unchanged += 1
                continue
            seen = [hashes[key] for hashes in likely if key in hashes]
            try:
                change = self._judge(self.samples.in_our_size(item), _State.of(key, self.samples, fixes), seen, classes)
            except ValueError as error:
                self.summary.refused[key] = str(error)
                continue
            if change is None:
                self.summary.unchanged += 1
                continue
            self.summary.fixed.append(key)
            self.summary.emptied += [key] if change.files is None else []
            yield key, change

    def _survey(self) -> dict[str, tuple[int, str]]:
        """What is said of each image that can be read, by key; the others are refused.

        Raises:
            UserError: there is good reason to doubt all that came back.
        """
        said: dict[str, tuple[int, str]] = {}
        spoilt: set[str] = set()
        doubts = []
        for item in self.read():
            check_stop()
            key = self.samples.key_of(item.name)
            try:
                if isinstance(item, Unread):
                    raise ValueError(item.reason)
                doubts.append(item.doubt)
                if said.setdefault(key, item.said) != item.said:
                    raise ValueError("is there twice with different labels: leave one of them out")
            except ValueError as error:
                spoilt.add(key)
                self.summary.refused[key] = str(error)
        if doubts and all(doubts):
            raise UserError(f"{self.source.path}: each mask {doubts[0]}")
        return {key: found for key, found in said.items() if key not in spoilt}

    def _judge(
        self, item: FixedLabels, state: "_State", seen: Sequence[Hashes], classes: Sequence[str]
    ) -> _Change | None:
        """What is to become of a sample's fix; None when that is left as it is.

        Args:
            item: what came back, which is not what was exported.
            state: of the sample in the run.
            seen: its labels in the exports that ``item`` was probably made of.
            classes: of the run.

        Raises:
            ValueError: the labels cannot be taken.
        """
        if state.image is None:
            raise ValueError("is no drawn sample of the run")
        image_png = state.image.files["image.png"]
        self._check_image(item, image_png)
        labels = finished(item, state.now[0] if state.now else None)
        if state.now is not None and item.instances is None and np.array_equal(labels[0], state.now[0]):
            return None  # a format without instances does not say which pieces are one object
        if state.now is not None and same_labels(labels, state.now):
            return None
        if item.doubt:
            raise ValueError(item.doubt)
        if item.only and state.now is not None:
            others = {*np.unique(state.now[0]).tolist()} - {BACKGROUND, VOID, item.only}
            if others:
                names = ", ".join(classes[number - 1] for number in sorted(others))
                raise ValueError(f"shows {names} too, of which a binary mask says nothing")
        if state.is_fixed and not self._may_replace(item, state, seen):
            return None
        empty = not np.any((labels[0] != BACKGROUND) & (labels[0] != VOID))
        files = None if empty else (encode_index_png(labels[0]), encode_index_png(labels[1]))
        return _Change({"image_sha256": digest(image_png), "replaces_sha256": state.replaces}, files)

    def _may_replace(self, item: FixedLabels, state: "_State", seen: Sequence[Hashes]) -> bool:
        """Whether what came back takes the place of a correction that the run has.

        Raises:
            ValueError: whoever made it did not know of that, and nobody has said who is right.
        """
        assert state.now is not None
        terms, hashed = item.said
        if state.own is not None and label_hashes(*state.own)[terms] == hashed:
            return False  # of an export from before the correction
        mine = label_hashes(*self.samples.as_exported(item.name, state.now))[terms]
        if seen and all(hashes[terms] == mine for hashes in seen):
            return True
        if self.prefer is None:
            raise ValueError(_CONFLICT)
        return self.prefer == "theirs"

    def _check_image(self, item: FixedLabels, image_png: bytes) -> None:
        """Make sure that the labels are of the run's image.

        Raises:
            ValueError: they have another size, or the image that came with them shows something else.
        """
        pixels = decode_rgb_png(image_png)
        if pixels.shape[:2] != item.mask.shape:
            (height, width), (there, across) = pixels.shape[:2], item.mask.shape
            raise ValueError(f"has {across} × {there} pixels, the run's image {width} × {height}")
        if item.image is None:
            return
        upright = ImageOps.exif_transpose(decode(self.source.read(item.image)))
        if not same_picture(rgb_pixels(upright), pixels):
            raise ValueError("was made for another image than the run has now")


@dataclass(frozen=True)
class _State:
    """A sample in the run.

    Attributes:
        image: with its file; None when the run has no such sample.
        now: the labels that count: a person's, or the run's own; None when there are none.
        is_fixed: whether they are a person's.
        own: the labels that the run made; None when there are none.
        replaces: digest of their mask; empty without one.
    """

    image: Record | None
    now: Labels | None
    is_fixed: bool
    own: Labels | None
    replaces: str

    @classmethod
    def of(cls, key: str, samples: LabelledImages, fixes: Corrections) -> "_State":
        image, masks = samples.find(key) or (None, None)
        own, replaces = None, ""
        if masks is not None and "mask.png" in masks.files:
            own = _decoded(masks.files["mask.png"], masks.files["instances.png"])
            replaces = digest(masks.files["mask.png"])
        fix = fixes.entries.get(key)
        if image is None or fix is None or fix.decision or fix.image_sha256 != digest(image.files["image.png"]):
            return cls(image, own, False, own, replaces)
        files = fixes.read(key)
        blank = np.zeros(decode_rgb_png(image.files["image.png"]).shape[:2], dtype=np.uint8)
        return cls(image, _decoded(*files) if files else (blank, blank), True, own, replaces)


def _decoded(mask: bytes, instances: bytes) -> Labels:
    return decode_index_png(mask), decode_index_png(instances)


def _most_alike(
    exported: Sequence[Mapping[str, Hashes]], said: Mapping[str, tuple[int, str]]
) -> list[Mapping[str, Hashes]]:
    """The exports that what came back was made of, as far as can be told: those that most images are equal to."""
    alike = [
        sum(key in hashes and hashes[key][terms] == hashed for key, (terms, hashed) in said.items())
        for hashes in exported
    ]
    return [hashes for hashes, count in zip(exported, alike, strict=True) if count == max(alike)]
