"""The Python API: what the commands do, as functions, and a run's samples as arrays.

    import dsfactory as ds

    run = ds.generate(classes=["dog", "bird"], num=8, out="runs/a")
    ds.refine(run)
    for sample in run.samples(kept=True):
        print(sample.key, sample.image.shape, sample.mask.max())
    ds.export(run, "coco")

Mistakes are raised as :class:`dsfactory.UserError` with the sentence that the command would print.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsfactory.api.functions import stage_function
from dsfactory.api.run import Run, Sample

if TYPE_CHECKING:
    from dsfactory.formats.exporter import ExportSummary
    from dsfactory.formats.writer import Copy, ImageFormat

__all__ = ["Run", "Sample", "export", "load", "open_run", "stage_function"]

IMAGE_FOLDERS = ("images", "JPEGImages", "img_dir")
"""Folders of an export in which its images lie, by format."""


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run that is there.

    Raises:
        UserError: it is not.
    """
    return Run(path)


def export(
    run: Run | str | os.PathLike[str],
    format: str = "coco",
    out: str | os.PathLike[str] | None = None,
    *,
    val_share: float = 0.1,
    redo: bool = False,
    without: Sequence[str] = (),
    keep_empty: bool = False,
    copy: "Copy" = "copy",
    min_trust: float = 0.0,
    selected: bool = False,
    provenance: bool = True,
    test_share: float = 0.0,
    classes: Sequence[str] = (),
    top: int | None = None,
    size: int | None = None,
    image_format: "ImageFormat | None" = None,
) -> "list[ExportSummary]":
    """Write a run's kept samples as a dataset; see :func:`dsfactory.jobs.export.export_job`.

    Args:
        run: the run.
        format: formats separated by commas.
        out: where to; None for ``RUN/export/FORMAT``.
        val_share: share of the images that goes to the val split, 0 to 1.
        redo: replace an export that is there.
        without: names of stages that do not count.
        keep_empty: keep images without objects as negatives.
        copy: what becomes of your own pictures: ``"copy"``, ``"link"`` or ``"none"``.
        min_trust: objects of less trust are ignored (255), 0 to 1.
        selected: only what ``select`` chose.
        provenance: say where each sample comes from: XMP, card, Croissant, ``provenance.csv``.
        test_share: share of the images that goes to a test split.
        classes: only these, in this order; others become background.
        top: only this many images of each class, the best.
        size: length in pixels of the longer side, to which images and labels are resized.
        image_format: ``"jpg"`` or ``"png"``; None for what the format's readers expect.
    """
    from dsfactory.jobs.choice import Choice
    from dsfactory.jobs.export import ExportOptions, export_job

    target = Path(out) if out is not None else None
    options = ExportOptions(
        image_format=image_format, without=tuple(without), keep_empty=keep_empty, copy=copy, min_trust=min_trust,
        selected=selected, provenance=provenance, test_share=test_share, choice=Choice(tuple(classes), top, size),
    )  # fmt: skip
    return export_job(Path(run), format, target, val_share, redo, options)


def load(folder: str | os.PathLike[str]) -> Iterator[Sample]:
    """The samples of an export, read with what its format says.

    Args:
        folder: of an export in a format that dsfactory reads back: coco, cvat, labelstudio, png or voc.

    Raises:
        UserError: it is no export, or one of another format.
    """
    from dsfactory.errors import UserError
    from dsfactory.formats import IMPORT_FORMATS
    from dsfactory.formats.folder import FolderTarget
    from dsfactory.formats.reading.labels import Expected, Unread, finished
    from dsfactory.formats.reading.source import Source

    root = Path(folder)
    manifest = FolderTarget(root).manifest()
    if manifest is None:
        raise UserError(f"{root} is not an export of dsfactory: make one with 'dsfactory export'")
    if manifest["format"] not in IMPORT_FORMATS:
        raise UserError(f"{root} is a {manifest['format']} export: load reads {', '.join(sorted(IMPORT_FORMATS))}")
    images = {path.stem: path for top in IMAGE_FOLDERS for path in (root / top).rglob("*") if path.is_file()}
    with Source.open(root) as source:
        for labels in IMPORT_FORMATS[manifest["format"]].reader()(source, Expected(manifest["classes"])):
            if isinstance(labels, Unread):
                raise UserError(f"{root}: {labels.name} {labels.reason}")
            image = images.get(labels.key)
            split = image.parent.name if image is not None and image.parent.name in ("train", "val", "test") else None
            data = image.read_bytes() if image is not None else b""
            yield Sample(labels.key, {}, split, {}, data, finished(labels, None))
