"""The samples of a run that exports and evaluations take."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dsfactory.core.chain import Input, Step, offers, serving
from dsfactory.core.registry import Begun
from dsfactory.core.run import Run
from dsfactory.core.sample import Media
from dsfactory.core.space import Space
from dsfactory.core.stage import Role
from dsfactory.dataset.labels import finished_shards, images_and_labels
from dsfactory.dataset.own_files import FOREIGN, OwnFiles
from dsfactory.dataset.pool import pool_fingerprint
from dsfactory.dataset.sample import ExportSample
from dsfactory.dataset.samples import ComposedSamples, KeptSamples
from dsfactory.dataset.split import ORIGIN, Sides
from dsfactory.errors import UserError
from dsfactory.jobs.settings import run_config
from dsfactory.runner.signals import check_stop
from dsfactory.stages import STAGES
from dsfactory.trust.run import RunTrust, with_trust


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
        trust: how far objects can be trusted; None where nobody can say.
        min_trust: objects of less trust become ignore (255). A sample that has no other is left out, and so is what
            was composed of a sample with such an object.
    """

    kept: KeptSamples
    composed: list[ComposedSamples]
    given: bool
    drawn: bool
    adopted: bool
    files: Mapping[str, Path]
    trust: RunTrust | None = None
    min_trust: float = 0.0

    @property
    def fingerprint(self) -> str:
        """Hash of all samples."""
        found = self.kept.fingerprint
        for item in self.composed:
            found = item.combined(found)
        if self.min_trust:
            assert self.trust is not None
            found = hashlib.sha256(f"{found} {self.min_trust} {self.trust.digest}".encode()).hexdigest()[:32]
        return found

    def samples(self) -> Iterator[ExportSample]:
        """All samples as the run has them, read from the disk."""
        return self._samples(None)

    def exported(self, own: OwnFiles) -> Iterator[ExportSample]:
        """All samples as an export has them: with the names and the files of the user's own pictures.

        Args:
            own: of :attr:`files`, fresh; it notes what was renamed and what is gone.
        """
        return self._samples(own)

    def _samples(self, own: OwnFiles | None) -> Iterator[ExportSample]:
        doubtful: set[str] = set()
        for sample in self.kept.samples(check_stop, own if self.given else None, self.trust):
            found = with_trust(sample, self.min_trust) if self.min_trust else sample
            if found is not sample:
                doubtful.add(sample.key)
            if found is not None:
                yield found
        for item in self.composed:
            for sample in item.samples(check_stop):
                if doubtful.isdisjoint(sample.row["sources"]):
                    yield replace(sample, stem=own.names.of_key(sample.key)) if own is not None else sample

    def remark(self) -> str:
        """A sentence or two about what was left out, for those who read about the dataset; empty for nothing."""
        cut = f"Objects of a trust below {self.min_trust:g} are ignored (void)." if self.min_trust else ""
        return " ".join(filter(None, (self._foreign(), cut)))

    def _foreign(self) -> str:
        """A sentence about pictures that were left out because the model draws nothing like them; empty for none."""
        if not self.given:
            return ""
        run, folder = self.kept.run, self.kept.images.kind.folder
        count = sum(row["reason"] == FOREIGN for spec in self.kept.specs for row in run.reader(folder, spec).rows)
        return f"{count} pictures were left out as foreign: the model draws nothing like them." if count else ""

    def count(self) -> int:
        """How many samples there are at most, as far as their rows say: no image is read."""
        return self.kept.count() + sum(item.count() for item in self.composed)


def samples_of(
    run_path: Path,
    val_share: float,
    without: Collection[str] = (),
    keep_empty: bool = False,
    min_trust: float = 0.0,
    selected: bool = False,
    test_share: float = 0.0,
) -> RunSamples:
    """The samples of a run as they are now.

    Args:
        run_path: the run's directory.
        val_share: share of the samples that goes to validation.
        without: names of stages that do not count: judges and labelers give way to the one before, and what a
            composer made is left out.
        keep_empty: take images without any object too; see :class:`dsfactory.dataset.samples.KeptSamples`.
        min_trust: see :class:`RunSamples`.
        selected: take only what select chose, and nothing that a composer made.
        test_share: share of the samples that goes to the test split.

    Raises:
        UserError: not a run, nothing labelled, a stage was made again since the next one was, an unknown name, or
            nobody knows how far its objects can be trusted and ``min_trust`` asks.
        DamagedShard: a shard with labels cannot be read.
    """
    if unknown := [name for name in without if name not in STAGES.names]:
        raise UserError(f"--without {unknown[0]}: there is no such stage; there are {', '.join(STAGES.names)}")
    run = Run.open(run_path)
    begun = STAGES.begun(run)
    images, labels = images_and_labels(run, begun, without)
    given = any(item.kind.given for item in begun)
    made = _media(run, images)
    composed = [
        found
        for item in begun
        if item.kind.own_space and item.kind.name not in without and not selected
        and (found := _composed(run, item, images, (val_share, test_share), made)) is not None
    ]  # fmt: skip
    files = images.kind.build(run_config(run.path), run.path).files() if given else {}
    only = _selected(run, begun, images, labels) if selected else None
    kept = KeptSamples.of(run, images, labels, keep_empty, only)
    trust = RunTrust.of(run, labels.kind.folder, kept.specs)
    if min_trust and trust is None:
        raise UserError(
            f"{run.path}: nobody knows how far these labels can be trusted: 'dsfactory refine {run.path} --redo' makes "
            "labels of which it is known"
        )
    drawn = not given or made <= {"trainedAlgorithmicMedia"}
    adopted = Role.LABEL in images.kind.writes.roles
    return RunSamples(kept, composed, given, drawn, adopted, files, trust, min_trust)


def _selected(run: Run, begun: Sequence[Begun], images: Input, labels: Input) -> frozenset[str]:
    """Keys of the samples that select chose.

    Raises:
        UserError: it has not chosen, or of other samples than there are now.
        DamagedShard: a shard of it cannot be read.
    """
    again = f"run 'dsfactory select {run.path}' first"
    state = next((item.state for item in begun if item.kind is STAGES["select"]), None)
    specs = finished_shards(run, "select")
    if state is None or len(specs) < len(finished_shards(run, labels.kind.folder)):
        raise UserError(f"{run.path}: select has not chosen yet: {again}")
    read = pool_fingerprint(run.path, (images, labels))
    if labels.mark not in state.upstream.split(",") or state.identity.get("read") != read:
        raise UserError(f"{run.path}: the kept samples have changed since select chose: {again}")
    return frozenset(row["key"] for spec in specs for row in run.reader("select", spec).rows if row["selected"])


def _media(run: Run, images: Input) -> frozenset[Media]:
    """What the images of a run are; rows are read only where they may differ."""
    kind = images.kind
    if kind.generates and ORIGIN not in kind.writes.schema.names:
        return frozenset({kind.media_of({})})
    specs = finished_shards(run, kind.folder)
    return frozenset(kind.media_of(row) for spec in specs for row in run.reader(kind.folder, spec).rows)


def _composed(
    run: Run, item: Begun, images: Input, shares: tuple[float, float], made: frozenset[Media]
) -> ComposedSamples | None:
    """What a stage with a space of its own made; None when it has finished nothing.

    Raises:
        UserError: what it was made of has changed since, or would be on both sides of the split.
    """
    val_share, test_share = shares
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
    held_out = val_share + test_share
    if held_out > spared:
        tested = f" with --test-share {test_share:g}" if test_share else ""
        raise UserError(
            f"{run.path}: its {kind.name} samples keep clear of the val split up to --val-share {spared:g}, not "
            f"{val_share:g}{tested}: run 'dsfactory {kind.name} {run.path} --val-share {held_out:g} --redo', or leave "
            f"them out with --without {kind.name}"
        )
    captured = not kind.generates and made <= {"", "compositeCapture"}
    media: Media = "compositeCapture" if captured else "compositeWithTrainedAlgorithmicMedia"
    return ComposedSamples(space, specs, state.fingerprint, val_share, Sides(run, images, *shares), media)
