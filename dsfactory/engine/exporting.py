"""From a run's finished shards to datasets: ``dsfactory export``."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsfactory.core.errors import UserError
from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.engine.log import run_log
from dsfactory.engine.pipeline import finished_shards, run_config
from dsfactory.engine.signals import check_stop
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
    source = kept_samples_of(run_path)
    summaries = []
    # The log belongs to the run; an export from a folder that may only be read works all the same.
    with run_log(run_path, "export") as ended:
        for name in names:
            target = out if out is not None else run_path / "export" / name
            if out is not None and len(names) > 1:
                target = out / name
            summaries.append(
                export(
                    name,
                    source.samples(),
                    [item.name for item in config.classes],
                    target,
                    fingerprint=source.fingerprint,
                    val_share=val_share,
                    model=config.generate.model,
                    image_format=image_format,  # type: ignore[arg-type]  # checked by the export
                    rle=rle,
                    redo=redo,
                )
            )
        ended |= {"exit_code": 0, "exports": [item.as_json() for item in summaries]}
    return summaries


@dataclass(frozen=True)
class KeptSamples:
    """The samples of a run that an export takes, as they were at one moment.

    Attributes:
        run: the run.
        specs: shards that ``refine`` had finished.
        drawn: fingerprint of the images.
        labelled: fingerprint of the masks.
        fingerprint: hash of all their masks, which tells exports apart.
    """

    run: Run
    specs: list[ShardSpec]
    drawn: str
    labelled: str
    fingerprint: str

    def samples(self) -> Iterator[ExportSample]:
        """Every sample with status ok, its image from ``generate`` beside its masks from ``refine``.

        Raises:
            DamagedShard: a shard cannot be read.
            UserError: another process made a shard again with other settings.
        """
        for spec in self.specs:
            check_stop()
            drawn, labelled = self.run.reader("generate", spec), self.run.reader("refine", spec)
            if (drawn.mark.fingerprint, labelled.mark.fingerprint) != (self.drawn, self.labelled):
                raise UserError(f"{self.run.path} was made again while it was read: give the same command again")
            for image, masks in zip(drawn.records(), labelled.records(), strict=True):
                if masks.row["status"] == "ok":
                    yield ExportSample(
                        key=masks.key,
                        row=masks.row,
                        image_png=image.files["image.png"],
                        mask_png=masks.files["mask.png"],
                        instances_png=masks.files["instances.png"],
                    )


def kept_samples_of(run_path: Path) -> KeptSamples:
    """What there is to export of a run now.

    Raises:
        UserError: not a run, not refined yet, or drawn again since it was refined.
        DamagedShard: a shard that refine finished cannot be read.
    """
    run = Run.open(run_path)
    drawn, labelled = run.stage_state("generate"), run.stage_state("refine")
    specs = finished_shards(run, "refine")
    if not specs or drawn is None or labelled is None:
        raise UserError(f"{run_path} has no masks yet: run 'dsfactory refine {run_path}' first")
    if labelled.upstream != drawn.fingerprint:
        raise UserError(f"{run_path} was drawn again since: run 'dsfactory refine {run_path} --redo' first")
    marks = [run.reader("refine", spec).mark for spec in specs]
    content = json.dumps([[mark.fingerprint, mark.tar_sha256] for mark in marks])
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:32]
    return KeptSamples(run, specs, drawn.fingerprint, labelled.fingerprint, fingerprint)
