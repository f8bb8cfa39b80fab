"""The stages that there are: which one serves which, and the settings of a run made from theirs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from dsfactory.errors import DsfactoryError, UserError

if TYPE_CHECKING:
    from dsfactory.core.config import RunSettings
    from dsfactory.core.run import Run, StageState
    from dsfactory.core.section import Section
    from dsfactory.core.stage import Stage

GROUP = "dsfactory.stages"
"""The entry points under which other packages bring stages."""

_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Facts:
    """What the command line has to know of a stage. It follows from the stage's class.

    Attributes:
        begins: it makes the samples of a run, so its command names the run that it begins.
        inline: it has no command: it is made by those that read it.
        serving: the inline stages that it reads.
        then: see :attr:`dsfactory.core.stage.Stage.then`.
        given: see :attr:`dsfactory.core.stage.Stage.given`.
    """

    begins: bool = False
    inline: bool = False
    serving: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    given: bool = False


@dataclass(frozen=True)
class Entry:
    """A stage by name. Its modules are imported when they are asked for.

    Attributes:
        name: of the stage.
        stage: ``"module:Class"`` of the stage.
        config: ``"module:Class"`` of its settings; empty for the stage's own ``Config``.
        package: the distribution that brings it; empty for dsfactory's own.
        facts: those of dsfactory's own, said here so that help needs no stage's class. A test compares the two.
    """

    name: str
    stage: str
    config: str = ""
    package: str = ""
    facts: Facts = Facts()

    @property
    def kind(self) -> "type[Stage]":
        """The stage's class."""
        return cast("type[Stage]", self._load(self.stage))

    @property
    def section(self) -> "type[Section]":
        """The class of its settings."""
        return cast("type[Section]", self._load(self.config)) if self.config else self.kind.Config

    def _load(self, place: str) -> Any:
        module, _, name = place.partition(":")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            if not self.package:
                raise
            raise UserError(
                f"the stage {self.name!r} of the package {self.package} cannot be loaded ({error}): "
                f"mend it, or 'pip uninstall {self.package}'"
            ) from error


@dataclass(frozen=True)
class Begun:
    """A stage that a run has begun.

    Attributes:
        kind: its class.
        state: what it was made with.
    """

    kind: "type[Stage]"
    state: "StageState"


class Registry:
    """Stages in the order of the pipeline.

    Args:
        entries: dsfactory's own.
        plugins: look for those of other packages too; they come last, by name.
    """

    def __init__(self, *entries: Entry, plugins: bool = True) -> None:
        self._own = entries
        self._plugins = plugins

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """All stages by name."""
        found = {entry.name: entry for entry in self._own}
        brought = sorted(entry_points(group=GROUP), key=lambda point: point.name) if self._plugins else []
        for point in brought:
            package = point.dist.name if point.dist is not None else point.value
            if point.name in found or not _NAME.fullmatch(point.name):
                raise DsfactoryError(f"the package {package} brings a stage {point.name!r}: that name cannot be used")
            found[point.name] = Entry(point.name, point.value, package=package)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """All names in order."""
        return tuple(self.entries)

    def facts(self, name: str) -> Facts:
        """What the command line has to know of a stage. Imports the stages of other packages."""
        entry = self.entries[name]
        return self.facts_of(entry.kind) if entry.package else entry.facts

    def facts_of(self, kind: "type[Stage]") -> Facts:
        """What the class of a stage says."""
        serving = tuple(one.name for one in self if one.inline and {*one.writes.roles} & {*kind.reads})
        return Facts(kind.kind == "source" and not kind.own_space, kind.inline, serving, kind.then, kind.given)

    def __getitem__(self, name: str) -> "type[Stage]":
        return self.entries[name].kind

    def __iter__(self) -> "Iterator[type[Stage]]":
        return (entry.kind for entry in self.entries.values())

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Folders of a run in the order of the pipeline: sources first, then what labels, judges and composes."""
        from dsfactory.core.stage import Kind

        order = list(Kind)
        return tuple(dict.fromkeys(kind.folder for kind in sorted(self, key=lambda kind: order.index(kind.kind))))

    def begun(self, run: "Run", before: "type[Stage] | None" = None) -> list[Begun]:
        """The stages of a run in order, as far as they have begun; at most one for a folder.

        Args:
            run: the run.
            before: only those that come before this one.
        """
        found: dict[str, Begun] = {}
        for kind in self:
            if kind.folder not in found and (state := run.stage_state(kind.folder)) is not None and kind.made(state):
                found[kind.folder] = Begun(kind, state)
        place = self.folders.index
        end = place(before.folder) if before is not None else len(self.folders)
        there = [item for item in found.values() if place(item.kind.folder) < end]
        return sorted(there, key=lambda item: place(item.kind.folder))

    def in_folder(self, run: "Run", folder: str) -> "type[Stage] | None":
        """The stage of a run that has this folder; None when none has begun there."""
        return next((item.kind for item in self.begun(run) if item.kind.folder == folder), None)

    def settings(self, name: str, *, module: str) -> "type[RunSettings]":
        """The class of a run's settings: a section per stage.

        Args:
            name: of the class.
            module: where it can be found by pickle.
        """
        from pydantic import Field, create_model

        from dsfactory.core.config import RunSettings

        sections: dict[str, Any] = {}
        for entry in self.entries.values():
            about = (entry.section.__doc__ or "").strip().split("\n")[0]
            sections[entry.name] = (entry.section, Field(default_factory=entry.section, description=about))
        return create_model(name, __base__=RunSettings, __module__=module, **sections)


def names_in_words(names: Sequence[str]) -> str:
    """``"a, b and c"``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
