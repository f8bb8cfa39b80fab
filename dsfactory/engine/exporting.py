"""From a run's finished shards to datasets: ``dsfactory export``."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from dsfactory.core.errors import UserError
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.engine.pipeline import run_config
from dsfactory.export import ExportSummary, export, find_format
from dsfactory.export.sample import ExportSample


def check_formats(text: str) -> list[str]:
    """``"coco,voc"`` as format names.

    Raises:
        UserError: a name is unknown; says which are known.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        find_format(name)
    return names


def export_job(
    run_path: Path,
    formats: str,
    out: Path | None,
    val_share: float,
    redo: bool = False,
    image_format: str | None = None,
    rle: bool = False,
) -> list[ExportSummary]:
    """Write a run's kept samples in one or more formats.

    Reads finished shards only, so it may be asked while another process works on the run.

    Args:
        run_path: the run's directory.
        formats: names separated by commas.
        out: where to; None for ``<run>/export/<format>``. With several formats, each gets a folder below it.
        val_share: share of the samples that goes to validation.
        redo: replace an export that was made with other settings or from other shards.
        image_format: ``"jpg"`` or ``"png"``; None for each format's own choice.
        rle: COCO segmentations as run lengths.

    Raises:
        UserError: not a run, not refined yet, nothing kept, an unknown format, or a target that is not ours.
    """
    names = check_formats(formats)
    config = run_config(run_path)
    run = Run.open(run_path)
    specs = run.finished("refine")
    if not specs:
        raise UserError(f"{run_path} has no masks yet: run 'dsfactory refine {run_path}' first")
    marks = [run.reader("refine", spec).mark for spec in specs]
    content = json.dumps([[mark.fingerprint, mark.tar_sha256] for mark in marks])
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:32]
    summaries = []
    for name in names:
        target = out if out is not None else run_path / "export" / name
        if out is not None and len(names) > 1:
            target = out / name
        summaries.append(
            export(
                name,
                _kept_samples(run, specs),
                [item.name for item in config.classes],
                target,
                fingerprint=fingerprint,
                val_share=val_share,
                model=config.generate.model,
                image_format=image_format,  # type: ignore[arg-type]  # checked by the export
                rle=rle,
                redo=redo,
            )
        )
    return summaries


def _kept_samples(run: Run, specs: list[ShardSpec]) -> Iterator[ExportSample]:
    """Every sample with status ok, its image from ``generate`` beside its masks from ``refine``."""
    for spec in specs:
        refined = run.reader("refine", spec).records()
        for drawn, labelled in zip(run.reader("generate", spec).records(), refined, strict=True):
            if labelled.row["status"] == "ok":
                yield ExportSample(
                    key=labelled.key,
                    row=labelled.row,
                    image_png=drawn.files["image.png"],
                    mask_png=labelled.files["mask.png"],
                    instances_png=labelled.files["instances.png"],
                )
