"""Which stage serves which: the inputs of a stage in a run, and the fingerprint under which it works."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from dsfactory.core.registry import Begun
from dsfactory.core.run import Run, StageState
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Kind, Role, Stage, differences, fingerprint
from dsfactory.errors import UserError


@dataclass(frozen=True)
class Input:
    """A stage as those see it that read it.

    Attributes:
        kind: its class.
        mark: the fingerprint under which it works.
        lineage: the fingerprints of all that it was made of.
    """

    kind: type[Stage]
    mark: str
    lineage: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """A stage at work: with what it reads, and the fingerprint that follows. Settled when its artifacts are there.

    Attributes:
        stage: the stage.
        serving: the stages that serve it; the stage is told of them.
    """

    stage: Stage
    serving: tuple[Input, ...] = ()

    def __post_init__(self) -> None:
        self.stage.inputs = self.serving

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it reads shard by shard: nothing in a sample space of its own."""
        return () if self.stage.own_space else self.serving

    @property
    def upstream(self) -> str:
        """The fingerprints of what it reads, as its own fingerprint holds them."""
        return upstream_of(self.inputs)

    @cached_property
    def mark(self) -> str:
        """The fingerprint under which it works."""
        return fingerprint(self.stage.folder, self.stage.version, self.stage.identity(), self.upstream)

    def as_input(self) -> Input:
        """The step as those see it that read it."""
        older = frozenset().union(*(item.lineage | {item.mark} for item in self.inputs))
        return Input(type(self.stage), self.mark, older)

    def state(self) -> StageState:
        """What its ``stage.json`` says."""
        return StageState(
            stage=self.stage.folder,
            version=self.stage.version,
            fingerprint=self.mark,
            upstream=self.upstream,
            identity=self.stage.identity(),
        )

    def ready(self, run: Run, spec: ShardSpec) -> bool:
        """Whether a shard may be made: all that it reads is there. A damaged input counts: reading it says so."""
        return all(run.may_be_read(item.kind.folder, spec, item.mark) for item in self.inputs)

    def readers(self, run: Run, spec: ShardSpec) -> list[ShardReader]:
        """The same shard of each input.

        Raises:
            DamagedShard: one cannot be read.
        """
        return [run.reader(item.kind.folder, spec) for item in self.inputs]


def upstream_of(inputs: Sequence[Input]) -> str:
    """The fingerprints of what a stage reads; what an input was itself made of is in that input's fingerprint."""
    older = frozenset().union(*(item.lineage for item in inputs))
    return ",".join(item.mark for item in inputs if item.mark not in older)


def input_of(item: Begun, before: Sequence[Input]) -> Input:
    """A stage of a run as those see it that read it; ``before`` are those that it may have read."""
    older = {mark for mark in item.state.upstream.split(",") if mark}
    older |= frozenset().union(*(one.lineage for one in before if one.mark in older))
    return Input(item.kind, item.state.fingerprint, frozenset(older))


def serving(kind: type[Stage], before: Sequence[Input]) -> tuple[Input, ...]:
    """Which of the stages before serve a stage: for each role that it reads the last one that writes it, each once."""
    found: list[Input] = []
    for role in kind.reads:
        server = next((item for item in reversed(before) if role in item.kind.writes.roles), None)
        if server is not None and server not in found:
            found.append(server)
    return tuple(found)


def lacking(kind: type[Stage], before: Sequence[Input], all_kinds: Iterable[type[Stage]]) -> type[Stage] | None:
    """The stage that has to come first, because nothing before writes a role that is read; None when all is there."""
    for role in kind.reads:
        if not any(role in item.kind.writes.roles for item in before):
            makers = [one for one in all_kinds if role in one.writes.roles and not one.own_space]
            # Images that come with their labels are another run: what labels those that are there comes before.
            return min(makers, key=lambda one: one.kind is Kind.SOURCE and Role.LABEL in one.writes.roles, default=None)
    return None


def offers(run: Run, begun: Sequence[Begun]) -> list[Input]:
    """What stages of a run offer to those after them, in order: those that have finished a shard."""
    found: list[Input] = []
    for item in begun:
        if not item.kind.own_space and run.has_finished(item.kind.folder):
            found.append(input_of(item, found))
    return found


def check_step(run: Run, step: Step, redo: bool = False, settings_only: bool = False) -> None:
    """Make sure that a stage may go on in a run. Writes nothing.

    Args:
        run: the run, or the stage's own space of it.
        step: the stage with what it reads.
        redo: it is made again anyway.
        settings_only: what follows from its inputs does not count: they may have changed, and are looked at elsewhere.

    Raises:
        UserError: it was made with other settings, of something else, or by another version.
    """
    before = run.stage_state(step.stage.folder)
    if before is None or redo:
        return
    old, new = before.identity, step.stage.identity()
    if settings_only:
        old, new = ({k: v for k, v in part.items() if k not in step.stage.varying} for part in (old, new))
    changes = differences(old, new)
    if before.version != step.stage.version:
        changes.append(f"algorithm version: {before.version} → {step.stage.version}")
    if before.upstream != step.upstream:
        read = before.upstream.split(",")
        again = [
            item.kind.folder for item in step.inputs if item.mark in step.upstream.split(",") and item.mark not in read
        ]
        changes.append(f"its {' and '.join(again) or 'input'} {'were' if len(again) > 1 else 'was'} made again")
    if changes:
        raise UserError(
            f"{run.path}: {step.stage.name} was made with other settings ({', '.join(changes)}): "
            "add --redo to make it again, or name another --out"
        )
