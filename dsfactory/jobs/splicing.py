"""From a run's kept samples to spliced ones, and from those to an export: ``dsfactory splice``."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.core.run import CONFIG, Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.space import STAGE, SpliceSpace
from dsfactory.dataset.corrections import Fixes, digest
from dsfactory.dataset.labels import check_labels, labels_stage
from dsfactory.dataset.sample import ExportSample
from dsfactory.errors import UserError
from dsfactory.formats.writer import split_of
from dsfactory.jobs.config import RunConfig, resolve_config
from dsfactory.jobs.job import JobSummary, finished_shards, open_locked, outcome_of, save_config
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import check_stage, run_stage
from dsfactory.runner.signals import check_stop
from dsfactory.storage.disk import KEPT, disk_errors

if TYPE_CHECKING:
    from dsfactory.stages.splice.stage import SpliceStage


def splice_job(
    run_path: Path,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    limits: Limits = UNLIMITED,
) -> JobSummary:
    """Make mosaics and paste compositions of a run's kept samples; arguments as :func:`generate_job`.

    Raises:
        UserError: the run's labels are not finished, too few samples are kept, nothing is asked for, or the splices
            that are there were made with other settings or of other samples and ``redo`` is off.
        RunLocked: another process works on the run.
    """
    with disk_errors(run_path, KEPT), open_locked(run_path) as run, run_log(run_path, STAGE) as ended:
        config = resolve_config(run_path / CONFIG, config_file, flags)
        space = SpliceSpace.of(run)
        stage = splice_stage(run, config, space)
        check_wish(run, config, stage, space, redo, progress)
        check_stage(space, stage, "", redo)
        save_config(run, config)
        if redo:
            space.discard()
        space.extend("mosaic", config.splice.num, config.shard_size)
        space.extend("paste", config.splice.paste, config.shard_size)
        stage.layout = space.layout
        summary = JobSummary(run_path, config.generate.model, [run_stage(space, stage, progress, limits=limits)])
        ended |= outcome_of(summary)
        return summary


def splice_stage(run: Run, config: RunConfig, space: SpliceSpace) -> "SpliceStage":
    """The stage with what it draws from.

    Raises:
        UserError: the run's labels are not finished.
        DamagedShard: a row table cannot be read.
    """
    from dsfactory.stages.splice.sources import Sources, fingerprint_of
    from dsfactory.stages.splice.stage import SpliceStage

    labels = labels_stage(run)
    check_labels(run, labels)
    left = len(run.shards()) - len(finished_shards(run, labels))
    if left:
        raise UserError(
            f"{run.path}: {left} of {len(run.shards())} shards have no labels yet: run 'dsfactory {labels} {run.path}' "
            "to the end first"
        )
    fixes, share = Fixes.of(run.path), config.splice.val_share
    names = [item.name for item in config.classes]
    sources = Sources(run, labels, names, lambda key: split_of(key, share) == "train", _mended(run, fixes))
    fingerprint = fingerprint_of(run, labels, fixes.fingerprint)
    return SpliceStage(config.splice, config.classes, config.seed, sources, fingerprint, space.layout)


def _mended(run: Run, fixes: Fixes) -> dict[str, tuple[bytes, bytes] | None]:
    """The labels that a person mended, by sample key; not those whose image has been drawn anew since."""
    numbers = [int(key) for key in fixes.entries]
    found: dict[str, tuple[bytes, bytes] | None] = {}
    for spec in run.shards():
        if any(spec.start <= number < spec.stop for number in numbers):
            for record in run.reader("generate", spec).records():
                fix = fixes.entries.get(record.key)
                if fix is not None and fix.image_sha256 == digest(record.files.get("image.png", b"")):
                    found[record.key] = fixes.read(record.key)
    return found


def check_wish(
    run: Run, config: RunConfig, stage: "SpliceStage", space: SpliceSpace, redo: bool, progress: Progress
) -> None:
    """Refuse what cannot be made, and say which grids are left out.

    Raises:
        UserError: nothing is asked for, or there are too few samples for it, or others than those spliced before.
    """
    if not config.splice.num and not config.splice.paste:
        raise UserError("nothing to splice: ask for mosaics with --num or for paste compositions with --paste")
    before = run.stage_state(STAGE)
    if before is not None and not redo and before.identity.get("sources") != stage.identity()["sources"]:
        raise UserError(f"{run.path}: the kept samples have changed since they were spliced: add --redo to splice anew")
    count = len(stage.sources)
    kept = f"{run.path} has {count} kept sample{'' if count == 1 else 's'} for the train split"
    wanted = {kind for kind, weight in config.splice.mix.items() if weight}
    if count < 2 or (config.splice.num and not stage.mix):
        needed = min(stage.cells(kind) for kind in wanted) if config.splice.num else 2
        raise UserError(
            f"{kept}, splicing needs {needed}: draw more with 'dsfactory generate', or choose another --mix"
        )
    left_out = [kind for kind in config.splice.mix if kind in wanted - {*stage.mix}]
    if left_out and config.splice.num > space.layout.count("mosaic"):
        progress.note(f"splice: {kept}, too few for {', '.join(left_out)}: the other grids take their place")


@dataclass(frozen=True)
class SplicedSamples:
    """The splices of a run that an export takes, as they were at one moment.

    Attributes:
        space: where they are.
        specs: finished shards.
        mark: the fingerprint under which they were made.
    """

    space: SpliceSpace
    specs: list[ShardSpec]
    mark: str

    def combined(self, fingerprint: str) -> str:
        """Fingerprint of an export that takes these beside samples with a fingerprint of their own."""
        marks = [self.space.reader(STAGE, spec).mark for spec in self.specs]
        content = json.dumps([fingerprint, [[mark.fingerprint, mark.tar_sha256] for mark in marks]])
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def count(self) -> int:
        """How many splices :meth:`samples` yields."""
        return sum(row["status"] == "ok" for spec in self.specs for row in self.space.reader(STAGE, spec).rows)

    def samples(self) -> Iterator[ExportSample]:
        """Every splice with status ok; all are for the train split.

        Raises:
            DamagedShard: a shard cannot be read.
            UserError: another process made a shard again with other settings.
        """
        for spec in self.specs:
            check_stop()
            reader = self.space.reader(STAGE, spec)
            if reader.mark.fingerprint != self.mark:
                raise UserError(f"{self.space.path} was spliced again while it was read: give the same command again")
            for record in reader.records():
                if record.row["status"] == "ok":
                    yield ExportSample(
                        key=record.key,
                        row=record.row,
                        image_png=record.files["image.png"],
                        mask_png=record.files["mask.png"],
                        instances_png=record.files["instances.png"],
                        split="train",
                    )


def spliced_samples_of(run_path: Path, val_share: float) -> SplicedSamples | None:
    """The splices of a run; None when it has none.

    Args:
        run_path: the run's directory.
        val_share: share of the samples that goes to validation beside them. The split is a threshold on a hash of the
            key, so what is train at one share is train at every smaller one.

    Raises:
        UserError: the samples that they were made of have changed since, or some of them would be in validation.
    """
    run = Run.open(run_path)
    space = SpliceSpace.of(run)
    state = run.stage_state(STAGE)
    specs = finished_shards(space, STAGE)
    if state is None or not specs:
        return None
    from dsfactory.stages.splice.sources import fingerprint_of

    if fingerprint_of(run, labels_stage(run), Fixes.of(run_path).fingerprint) != state.identity.get("sources"):
        raise UserError(
            f"{run_path}: the kept samples have changed since they were spliced: run 'dsfactory splice {run_path} "
            "--redo', or leave the splices out with --no-splice"
        )
    spared = state.identity.get("val_share")
    if not isinstance(spared, int | float):
        raise UserError(f"{run_path}: splice/stage.json is not what splice writes: run 'dsfactory splice --redo'")
    if val_share > spared:
        raise UserError(
            f"{run_path}: its splices keep clear of the val split up to --val-share {spared:g}, not {val_share:g}: run "
            f"'dsfactory splice {run_path} --val-share {val_share:g} --redo', or leave them out with --no-splice"
        )
    return SplicedSamples(space, specs, state.fingerprint)
