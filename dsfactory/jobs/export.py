"""From a run's finished shards to datasets: ``dsfactory export``."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.dataset.corrections import Fixes
from dsfactory.dataset.labels import REFINED, check_labels, labels_stage
from dsfactory.dataset.sample import ExportSample
from dsfactory.errors import UserError
from dsfactory.formats import ExportSummary, export, find_format
from dsfactory.jobs.job import finished_shards, run_config
from dsfactory.jobs.splicing import SplicedSamples, spliced_samples_of
from dsfactory.runner.log import log_event, run_log
from dsfactory.runner.signals import check_stop


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
    splice: bool = True,
    filtered: bool = True,
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
        splice: take the run's spliced images, if there are any, into the train split.
        filtered: leave out what ``filter`` dropped, if it has judged the run, and take its masks.

    Raises:
        UserError: not a run, not refined yet, nothing kept, an unknown format, or a target that is not ours.
    """
    exports = plan_exports(run_path, formats, out, val_share, image_format, rle, splice, filtered)
    summaries = []
    # The log belongs to the run; an export from a folder that may only be read works all the same.
    with run_log(run_path, "export") as ended:
        for name, target in exports.targets:
            exports.kept.fixes.refused.clear()
            start = time.monotonic()
            summary = export_to(exports, name, target, exports.samples(), redo)
            summaries.append(replace(summary, refused_fixes=list(exports.kept.fixes.refused)))
            if summary.made:
                images, seconds = sum(summary.images.values()), round(time.monotonic() - start, 3)
                log_event("exported", format=name, samples=images, seconds=seconds)
        ended |= {"exit_code": 0, "exports": [item.as_json() for item in summaries]}
    return summaries


@dataclass(frozen=True)
class Exports:
    """What is to be exported, and where to.

    Attributes:
        kept: the run's samples.
        spliced: its splices, if they are taken.
        targets: format and folder of each export.
        settings: arguments of :func:`dsfactory.formats.export` that all of them share.
    """

    kept: "KeptSamples"
    spliced: SplicedSamples | None
    targets: list[tuple[str, Path]]
    settings: dict[str, Any]

    def samples(self) -> Iterator[ExportSample]:
        """All samples, read anew."""
        return chain(self.kept.samples(), self.spliced.samples() if self.spliced else ())

    def count(self) -> int:
        """How many samples there are, as far as their rows say: no image is read."""
        return self.kept.count() + (self.spliced.count() if self.spliced else 0)


def plan_exports(
    run_path: Path,
    formats: str,
    out: Path | None,
    val_share: float,
    image_format: str | None = None,
    rle: bool = False,
    splice: bool = True,
    filtered: bool = True,
) -> Exports:
    """Settle what :func:`export_job` writes with the same arguments. Writes nothing.

    Raises:
        UserError: see there.
    """
    names = check_formats(formats)
    config = run_config(run_path)
    kept = kept_samples_of(run_path, filtered)
    spliced = spliced_samples_of(run_path, val_share) if splice else None
    folder = out if out is not None else run_path / "export"
    alone = out is not None and len(names) == 1
    settings = {
        "classes": [item.name for item in config.classes],
        "fingerprint": spliced.combined(kept.fingerprint) if spliced else kept.fingerprint,
        "val_share": val_share,
        "model": config.generate.model,
        "image_format": image_format,
        "rle": rle,
        "drawn": config.annotate is None,
    }
    return Exports(kept, spliced, [(name, folder if alone else folder / name) for name in names], settings)


def export_to(
    exports: Exports, format: str, target: Path, samples: Iterator[ExportSample], redo: bool
) -> ExportSummary:
    """Write samples in one format.

    Raises:
        UserError: see :func:`dsfactory.formats.export`.
    """
    return export(format, samples, out=target, redo=redo, **exports.settings)


@dataclass(frozen=True)
class KeptSamples:
    """The samples of a run that an export takes, as they were at one moment.

    Attributes:
        run: the run.
        stage: whose masks they are, ``"refine"`` or ``"filter"``.
        specs: shards that this stage had finished.
        drawn: fingerprint of the images.
        labelled: fingerprint of the masks.
        fingerprint: hash of all their masks, which tells exports apart.
        fixes: masks that a person mended; they win.
    """

    run: Run
    stage: str
    specs: list[ShardSpec]
    drawn: str
    labelled: str
    fingerprint: str
    fixes: Fixes

    def count(self) -> int:
        """How many samples :meth:`samples` yields, unless the image of one that was mended has been drawn anew."""
        rows = (row for spec in self.specs for row in self.run.reader(self.stage, spec).rows)
        keys = {row["key"] for row in rows if row["status"] == "ok"}
        emptied = {key for key in self.fixes.entries if self.fixes.read(key) is None}
        return len((keys | self.fixes.entries.keys()) - emptied)

    def samples(self) -> Iterator[ExportSample]:
        """Every sample with status ok or a fix, its image from ``generate`` beside its masks.

        Raises:
            DamagedShard: a shard cannot be read.
            UserError: another process made a shard again with other settings.
        """
        for spec in self.specs:
            check_stop()
            drawn, labelled = self.run.reader("generate", spec), self.run.reader(self.stage, spec)
            if (drawn.mark.fingerprint, labelled.mark.fingerprint) != (self.drawn, self.labelled):
                raise UserError(f"{self.run.path} was made again while it was read: give the same command again")
            for image, masks in zip(drawn.records(), labelled.records(), strict=True):
                labels = self.fixes.labels_of(image, masks)
                if labels is not None:
                    yield ExportSample(masks.key, masks.row, image.files["image.png"], *labels)


def kept_samples_of(run_path: Path, filtered: bool = True) -> KeptSamples:
    """What there is to export of a run now.

    Args:
        run_path: the run's directory.
        filtered: without what ``filter`` dropped, if it has judged the run.

    Raises:
        UserError: not a run, not refined yet, or a stage was made again since the next one was.
        DamagedShard: a shard with masks cannot be read.
    """
    run = Run.open(run_path)
    stage = labels_stage(run) if filtered else REFINED
    check_labels(run, stage)
    drawn, labelled = run.stage_state("generate"), run.stage_state(stage)
    specs = finished_shards(run, stage)
    if not specs or drawn is None or labelled is None:
        raise UserError(f"{run_path} has no masks yet: run 'dsfactory {stage} {run_path}' first")
    marks = [run.reader(stage, spec).mark for spec in specs]
    content = json.dumps([[mark.fingerprint, mark.tar_sha256] for mark in marks])
    fixes = Fixes.of(run_path)
    fingerprint = hashlib.sha256(f"{content}{fixes.fingerprint}".encode()).hexdigest()[:32]
    return KeptSamples(run, stage, specs, drawn.fingerprint, labelled.fingerprint, fingerprint, fixes)
