"""Which stage of a run was made of which other, and whether the two still belong to each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsfactory.core.chain import Input, input_of, serving, upstream_of
from dsfactory.core.registry import Begun
from dsfactory.core.run import Run, StageState
from dsfactory.core.stage import Stage


@dataclass(frozen=True)
class Member:
    """A stage of a run, with those that serve it there.

    Attributes:
        kind: its class.
        state: what it was made with.
        serving: the stages that serve it now.
    """

    kind: type[Stage]
    state: StageState
    serving: tuple[Input, ...]

    @property
    def folder(self) -> str:
        return self.kind.folder

    @property
    def inputs(self) -> tuple[str, ...]:
        """Folders of what it reads shard by shard: none in a sample space of its own."""
        return () if self.kind.own_space else tuple(item.kind.folder for item in self.serving)

    @property
    def current(self) -> bool:
        """It was made of what serves it now."""
        return self.state.upstream == upstream_of(() if self.kind.own_space else self.serving)


def members_of(run: Run, begun: Sequence[Begun]) -> list[Member]:
    """The stages of a run, each with those that serve it: stages that have a shard, or that it was made of."""
    found: list[Member] = []
    before: list[Input] = []
    for item in begun:
        read = item.state.upstream.split(",")
        there = [one for one in before if one.mark in read or run.has_finished(one.kind.folder)]
        found.append(Member(item.kind, item.state, serving(item.kind, there)))
        if not item.kind.own_space:
            before.append(input_of(item, before))
    return found
