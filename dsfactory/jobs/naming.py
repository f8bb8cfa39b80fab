"""What is to be said of the classes' names, before anything is made of them and later."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dsfactory.core.classes import ClassSpec, check_classes
from dsfactory.core.run import Run, is_run
from dsfactory.core.sample import RESERVED
from dsfactory.core.stage import Kind, Role, Stage
from dsfactory.errors import UserError
from dsfactory.stages import RunConfig
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.learnt import unlearnt
from dsfactory.stages.prompts.senses import sense_of
from dsfactory.stages.prompts.vocabulary import near_word, understood


def with_understood(config: RunConfig, out: Path | None) -> RunConfig:
    """The settings with 'dogs' understood as the class 'dog', unless the run that is there has it as it was written.

    Raises:
        UserError: two classes are one then.
    """
    there = Run.open(out).manifest.classes if out is not None and is_run(out) else ()
    if [spec.name for spec in there] == [spec.name for spec in config.classes]:
        return config
    try:
        return config.model_copy(update={"classes": check_classes(tuple(map(understood, config.classes)))})
    except ValueError as error:
        raise UserError(f"settings: {error}") from error


def check_new(classes: Sequence[ClassSpec]) -> None:
    """Make sure that a new run's classes are not called like what every mask has.

    Raises:
        UserError: one is.
    """
    for spec in classes:
        if spec.name.casefold() in RESERVED:
            raise UserError(
                f"{spec.name!r} cannot be a class: every mask has 0 for the background and 255 for what is to be "
                "ignored anyway. Leave it out"
            )


def first_notes(asked: Sequence[ClassSpec], config: RunConfig) -> list[str]:
    """What is said of the names once, when a run is begun.

    Args:
        asked: the classes as they were written.
        config: the settings with what was understood.
    """
    notes = [
        f"{before.name!r} is understood as the class {spec.name!r}"
        for before, spec in zip(asked, config.classes, strict=True)
        if before.name != spec.name
    ]
    said = unlearnt(config.of(GenerateConfig), config.classes)
    for spec in config.classes:
        near = near_word(spec)
        if near and f"did you mean {near}?" not in said:
            notes.append(f"{spec.word!r} is not in the built-in word list: did you mean {near!r}?")
        if line := sense_of(spec):
            notes.append(line)
    return notes


def asks_model(kinds: Iterable[type[Stage]]) -> bool:
    """Whether a model makes or labels the images of a run with these stages: they do not come with their labels."""
    return not any(kind.kind is Kind.SOURCE and Role.LABEL in kind.writes.roles for kind in kinds)


def standing_notes(config: RunConfig) -> list[str]:
    """What is said of the names with everything that is made of a run."""
    line = unlearnt(config.of(GenerateConfig), config.classes)
    return [line] if line else []
