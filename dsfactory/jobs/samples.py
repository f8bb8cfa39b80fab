"""The samples of a run that exports and evaluations take."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from dsfactory.core.chain import Input, Step, offers, serving
from dsfactory.core.registry import Begun
from dsfactory.core.run import Run
from dsfactory.core.space import Space
from dsfactory.core.stage import Role
from dsfactory.dataset.labels import finished_shards, images_and_labels
from dsfactory.dataset.own_files import FOREIGN, OwnFiles
from dsfactory.dataset.sample import ExportSample
from dsfactory.dataset.samples import ComposedSamples, KeptSamples
from dsfactory.dataset.split import ORIGIN, REAL, Sides
from dsfactory.errors import UserError
from dsfactory.jobs.settings import run_config
from dsfactory.runner.signals import check_stop
from dsfactory.stages import STAGES


@dataclass(frozen=True)
class RunSamples:
    """What a run has to give.

    Attributes:
        kept: samples of the run's own space.
        composed: those of stages with a space of their own.
        given: the images are somebody's own, and have files.
        drawn: a model made all of them.
        adopted: their labels came with them.
        files: these images' files, by sample key.
    """

    kept: KeptSamples
    composed: list[ComposedSamples]
    given: bool
    drawn: bool
    adopted: bool
    files: Mapping[str, Path]

    @property
    def fingerprint(self) -> str:
        """Hash of all samples."""
        found = self.kept.fingerprint
        for item in self.composed:
            found = item.combined(found)
        return found

    def samples(self) -> Iterator[ExportSample]:
        """All samples as the run has them, read from the disk."""
        parts = (item.samples(check_stop) for item in self.composed)
        return chain(self.kept.samples(check_stop), *parts)

    def exported(self, own: OwnFiles) -> Iterator[ExportSample]:
        """All samples as an export has them: with the names and the files of the user's own pictures.

        Args:
            own: of :attr:`files`, fresh; it notes what was renamed and what is gone.
        """
        yield from self.kept.samples(check_stop, own if self.given else None)
        for item in self.composed:
            for sample in item.samples(check_stop):
                yield replace(sample, stem=own.names.of_key(sample.key))

    def foreign(self) -> str:
        """A sentence about pictures that were left out because the model draws nothing like them; empty for none."""
        if not self.given:
            return ""
        run, folder = self.kept.run, self.kept.images.kind.folder
        count = sum(row["reason"] == FOREIGN for spec in self.kept.specs for row in run.reader(folder, spec).rows)
        return f"{count} pictures were left out as foreign: the model draws nothing like them." if count else ""

    def count(self) -> int:
        """How many samples there are, as far as their rows say: no image is read."""
        return self.kept.count() + sum(item.count() for item in self.composed)


def samples_of(run_path: Path, val_share: float, without: Collection[str] = (), keep_empty: bool = False) -> RunSamples:
    """The samples of a run as they are now.

    Args:
        run_path: the run's directory.
        val_share: share of the samples that goes to validation.
        without: names of stages that do not count: judges and labelers give way to the one before, and what a
            composer made is left out.
        keep_empty: take images without any object too; see :class:`dsfactory.dataset.samples.KeptSamples`.

    Raises:
        UserError: not a run, nothing labelled, a stage was made again since the next one was, or an unknown name.
        DamagedShard: a shard with labels cannot be read.
    """
    if unknown := [name for name in without if name not in STAGES.names]:
        raise UserError(f"--without {unknown[0]}: there is no such stage; there are {', '.join(STAGES.names)}")
    run = Run.open(run_path)
    begun = STAGES.begun(run)
    images, labels = images_and_labels(run, begun, without)
    composed = [
        found
        for item in begun
        if item.kind.own_space and item.kind.name not in without
        and (found := _composed(run, item, images, val_share)) is not None
    ]  # fmt: skip
    given = any(item.kind.given for item in begun)
    files = images.kind.build(run_config(run.path), run.path).files() if given else {}
    drawn = not given or _all_synthetic(run, images)
    adopted = Role.LABEL in images.kind.writes.roles
    return RunSamples(KeptSamples.of(run, images, labels, keep_empty), composed, given, drawn, adopted, files)


def _all_synthetic(run: Run, images: Input) -> bool:
    """Whether all of somebody's own images say that a model made them."""
    if ORIGIN not in images.kind.writes.schema.names:
        return False
    return all(
        row[ORIGIN] != REAL
        for spec in finished_shards(run, images.kind.folder)
        for row in run.reader(images.kind.folder, spec).rows
    )


def _composed(run: Run, item: Begun, images: Input, val_share: float) -> ComposedSamples | None:
    """What a stage with a space of its own made; None when it has finished nothing.

    Raises:
        UserError: what it was made of has changed since, or would be on both sides of the split.
    """
    kind, state = item.kind, item.state
    space = Space.of(run, kind)
    specs = finished_shards(space, kind.folder)
    if not specs:
        return None
    step = Step(kind.build(run_config(run.path), run.path), serving(kind, offers(run, STAGES.begun(run, before=kind))))
    now = step.stage.identity()
    if any(now.get(name) != state.identity.get(name) for name in kind.varying):
        raise UserError(
            f"{run.path}: the kept samples have changed since '{kind.name}' used them: run 'dsfactory {kind.name} "
            f"{run.path} --redo', or leave its samples out with --without {kind.name}"
        )
    spared = state.identity.get("val_share", 1.0)
    if not isinstance(spared, int | float):
        raise UserError(
            f"{run.path}: {kind.folder}/stage.json is not what {kind.name} writes: run 'dsfactory {kind.name} --redo'"
        )
    if val_share > spared:
        raise UserError(
            f"{run.path}: its {kind.name} samples keep clear of the val split up to --val-share {spared:g}, not "
            f"{val_share:g}: run 'dsfactory {kind.name} {run.path} --val-share {val_share:g} --redo', or leave them "
            f"out with --without {kind.name}"
        )
    return ComposedSamples(space, specs, state.fingerprint, val_share, Sides(run, images, val_share))
