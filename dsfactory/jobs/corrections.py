"""Bring corrected labels back into a run: ``dsfactory import``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, VOID, Record, sample_key
from dsfactory.core.shard import ShardSpec
from dsfactory.dataset.corrections import Corrections, CorrectionsWriter, changing_corrections, digest
from dsfactory.dataset.labels import finished_shards, images_and_labels
from dsfactory.errors import UserError
from dsfactory.formats import IMPORT_FORMATS, find_format
from dsfactory.formats.reading.images import decode, rgb_pixels, same_picture
from dsfactory.formats.reading.labels import FixedLabels, finished, same_labels
from dsfactory.formats.reading.source import Source
from dsfactory.runner.log import run_log
from dsfactory.runner.signals import check_stop
from dsfactory.stages import STAGES
from dsfactory.storage.disk import disk_errors


@dataclass
class ImportSummary:
    """What an import did.

    Attributes:
        run: the run's directory.
        read: samples whose labels came back.
        fixed: keys of those that differ from the run's labels: they are fixes now.
        emptied: keys of those among them that came back without any label, and are left out of exports.
        unchanged: number of samples that came back as they are.
        reverted: keys of earlier fixes that came back as the run's own labels, and are fixes no more.
        refused: reason by file name, for what cannot be brought back.
        total: fixes that the run has now.
        dry_run: whether nothing was written.
    """

    run: Path
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


def import_job(run_path: Path, path: Path, format: str, dry_run: bool = False) -> ImportSummary:
    """Compare labels that another tool wrote with the run's, and keep those that differ as fixes.

    Args:
        run_path: the run's directory.
        path: what the other tool wrote: a file, a folder or a zip.
        format: a name in :data:`dsfactory.formats.IMPORT_FORMATS`.
        dry_run: only say what would be done.

    Raises:
        UserError: not a run, not refined yet, an unknown format, or a file that cannot be used; nothing was changed.
        DamagedShard: a shard of the run cannot be read.
        RunLocked: another process changes the run's fixes.
    """
    read = find_format(format, IMPORT_FORMATS).reader()
    samples = _Samples(Run.open(run_path))
    classes = [item.name for item in samples.run.manifest.classes]
    summary = ImportSummary(run_path, dry_run=dry_run)
    with Source.open(path) as source:
        found = read(source, classes)
        if dry_run:
            writer = CorrectionsWriter(Corrections.of(run_path))
            for labels in found:
                _judge(labels, samples, writer.fixes, summary)
            return summary
        with disk_errors(run_path, "nothing was changed"), run_log(run_path, "import") as ended:
            with changing_corrections(run_path) as writer:
                for labels in found:
                    change = _judge(labels, samples, writer.fixes, summary)
                    if change is not None:
                        change.apply(labels.key, writer, {"source": path.name, "format": format})
            summary.total = len(writer.fixes.entries)
            ended |= {"exit_code": summary.exit_code, "fixed": len(summary.fixed), "refused": len(summary.refused)}
    return summary


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


def _judge(fixed: FixedLabels, samples: "_Samples", fixes: Corrections, summary: ImportSummary) -> _Change | None:
    """Compare one sample's labels with what counts now, and note the result in the summary.

    Returns:
        What is to become of its fix; None when that is left as it is.
    """
    check_stop()
    summary.read += 1
    found = samples.find(fixed.key)
    try:
        if found is None:
            raise ValueError("is no drawn sample of the run")
        image, masks = found
        image_png = image.files["image.png"]
        _check_image(fixed, image_png)
        own = _decoded(masks) if masks is not None and "mask.png" in masks.files else None
        labels = finished(fixed, own[0] if own else None)
    except ValueError as error:
        summary.refused[fixed.key] = str(error)
        return None
    empty = not np.any((labels[0] != BACKGROUND) & (labels[0] != VOID))
    fix = fixes.entries.get(fixed.key)
    if own is not None and fixed.instances is None and np.array_equal(labels[0], own[0]):
        labels = own  # a format without instances does not say which pieces are one object
    if own is not None and same_labels(labels, own):
        if fix is None:
            summary.unchanged += 1
            return None
        summary.reverted.append(fixed.key)
        return _Change(None)
    files = None if empty else (encode_index_png(labels[0]), encode_index_png(labels[1]))
    image_sha256 = digest(image_png)
    if fix is not None and fix.image_sha256 == image_sha256 and _is_same_fix(fixes.read(fixed.key), labels, files):
        summary.unchanged += 1
        return None
    summary.fixed.append(fixed.key)
    if empty:
        summary.emptied.append(fixed.key)
    replaces = digest(masks.files["mask.png"]) if masks is not None and own is not None else ""
    return _Change({"image_sha256": image_sha256, "replaces_sha256": replaces}, files)


def _is_same_fix(before: tuple[bytes, bytes] | None, labels: Any, files: tuple[bytes, bytes] | None) -> bool:
    if before is None or files is None:
        return before is files
    return same_labels(labels, (decode_index_png(before[0]), decode_index_png(before[1])))


def _decoded(masks: Record) -> tuple[Any, Any]:
    return decode_index_png(masks.files["mask.png"]), decode_index_png(masks.files["instances.png"])


def _check_image(fixed: FixedLabels, image_png: bytes) -> None:
    """Make sure that the labels are of the run's image.

    Raises:
        ValueError: they have another size, or the image that came with them shows something else.
    """
    pixels = decode_rgb_png(image_png)
    if pixels.shape[:2] != fixed.mask.shape:
        (height, width), (there, across) = pixels.shape[:2], fixed.mask.shape
        raise ValueError(f"has {across} × {there} pixels, the run's image {width} × {height}")
    if fixed.image is not None and not same_picture(rgb_pixels(decode(fixed.image, fixed.key)), pixels):
        raise ValueError("was made for another image than the run has now")


class _Samples:
    """A run's images and labels by key; the shard in hand is in memory."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._images, self._labels = (item.kind.folder for item in images_and_labels(run, STAGES.begun(run)))
        self._labelled = {spec.index for spec in finished_shards(run, self._labels)}
        self._drawn = {spec.index: spec for spec in finished_shards(run, self._images)}
        self._index = -1
        self._shard: dict[str, tuple[Record, Record | None]] = {}

    def find(self, key: str) -> tuple[Record, Record | None] | None:
        """A sample's image and its labels, if it was drawn and has some."""
        if not (key.isascii() and key.isdigit() and len(key) < 20 and key == sample_key(int(key))):
            return None
        spec = next((item for item in self._drawn.values() if item.start <= int(key) < item.stop), None)
        if spec is None:
            return None
        if spec.index != self._index:
            self._shard = dict(self._load(spec))
            self._index = spec.index
        found = self._shard.get(key)
        return found if found is not None and "image.png" in found[0].files else None

    def _load(self, spec: ShardSpec) -> Iterator[tuple[str, tuple[Record, Record | None]]]:
        labels = self.run.reader(self._labels, spec).records() if spec.index in self._labelled else ()
        by_key = {record.key: record for record in labels}
        for image in self.run.reader(self._images, spec).records():
            yield image.key, (image, by_key.get(image.key))
