"""What the classes are called: the bundled word lists, joined with the user's synonyms."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import Field

from dsfactory.core.classes import ClassSpec
from dsfactory.core.reading import read_text
from dsfactory.core.section import Section
from dsfactory.stages.prompts.mentions import (
    EXCLUDED,
    PhraseMatcher,
    class_matcher,
    singular,
    split_words,
    word_forms,
    word_spans,
)
from dsfactory.stages.prompts.resources import data_file

CLASSES_FILE = "classes.yaml"
EXCLUDED_FILE = "excluded_phrases.txt"
STOP_FILE = "stop_words.txt"
_DEFAULT_SCENES = ("outdoor", "indoor")


class Entry(Section):
    """A class in classes.yaml; the file's head says what each field means."""

    noun: str | None = Field(None, description="Word that templates write.")
    synonyms: tuple[str, ...] = Field((), description="Other words for the same class.")
    subclasses: tuple[str, ...] = Field((), description="Narrower words.")
    standalone: bool = Field(False, description="A subclass is written without the noun behind it.")
    countable: bool = Field(True, description="An article stands before the noun.")
    homograph: bool = Field(False, description="The bare name in a caption usually means something else.")
    scenes: tuple[str, ...] = Field(_DEFAULT_SCENES, description="Groups of scenes that suit the class.")


@dataclass(frozen=True)
class ClassWords:
    """Everything the stage knows about a class of the run.

    Attributes:
        name: the label.
        noun: how templates call it.
        names: words for the whole class.
        phrases: what names it in a caption (plurals are understood), names before subclasses.
        subclasses: narrower words, for templates.
        standalone, countable, scenes: see :class:`Entry`.
    """

    name: str
    noun: str
    names: tuple[str, ...]
    phrases: tuple[str, ...]
    subclasses: tuple[str, ...]
    standalone: bool
    countable: bool
    scenes: tuple[str, ...]


@cache
def entries() -> dict[str, Entry]:
    """The bundled word list: class name to entry."""
    content = yaml.load(data_file(CLASSES_FILE).read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {name: Entry.model_validate(values) for name, values in content.items()}


@cache
def _keys() -> dict[str, str]:
    """Words, in the form of ``_key``, to the name of their entry; names before synonyms."""
    keys = {_key(name): name for name in entries()}
    for name, entry in entries().items():
        for word in entry.synonyms:
            keys.setdefault(_key(word), name)
    return keys


def _key(name: str) -> str:
    return " ".join(split_words(name))


@cache
def class_words(spec: ClassSpec) -> ClassWords:
    """What a class is called: its name, the user's synonyms, and the bundled words where the class is known."""
    known = _keys().get(_key(spec.word))
    entry = entries()[known] if known is not None else Entry()
    names = [] if entry.homograph else [spec.word]
    names += spec.synonyms
    if known is not None:
        names += [known] if not entry.homograph and known != spec.word else []
        names += [*([entry.noun] if entry.noun else []), *entry.synonyms]
    return ClassWords(
        name=spec.name,
        noun=entry.noun or spec.word,
        names=tuple(dict.fromkeys(names)),
        phrases=tuple(dict.fromkeys([*names, *entry.subclasses])),
        subclasses=entry.subclasses,
        standalone=entry.standalone,
        countable=entry.countable,
        scenes=entry.scenes,
    )


def understood(spec: ClassSpec) -> ClassSpec:
    """A class that is named by a plural of the word list, by its singular; all others as they are."""
    if spec.only_label or _key(spec.name) in _keys() or not (one := singular(spec.name)):
        return spec
    return spec.model_copy(update={"name": one}) if _key(one) in _keys() else spec


def same_class(word: str) -> tuple[str, ...]:
    """The word list's name of the class that a word means, and its other words; none for a word that is not there.

    A name of the list means itself, even where another class has it as a synonym.
    """
    name = _keys().get(_key(word))
    return (name, *entries()[name].synonyms) if name is not None else ()


def near_word(spec: ClassSpec, among: Collection[str] = ()) -> str:
    """The word that a class's word, which is not in the list, may be a slip of; empty for none.

    Args:
        spec: the class.
        among: the words to look in first.
    """
    words = {_key(word) for entry in entries().values() for word in entry.subclasses} | _keys().keys()
    word = _key(spec.word)
    if word in words:
        return ""
    near = (difflib.get_close_matches(word, sorted(known), n=1, cutoff=NEAR) for known in (among, words))
    return next((found[0] for found in near if found), "")


NEAR = 0.75
"""Likeness from which a word may be a slip of another: 'brid' and 'bird' have it."""


def read_words(text: str) -> list[str]:
    """Lines of a word list without comments and blank lines."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def run_matcher(classes: Sequence[ClassWords]) -> PhraseMatcher:
    """Matcher of a run's classes; labels are positions in ``classes``."""
    excluded = read_words(read_text(data_file(EXCLUDED_FILE), "word list"))
    return class_matcher([words.phrases for words in classes], excluded)


def stop_matcher(path: Path | None, classes: Sequence[ClassWords]) -> PhraseMatcher:
    """Matcher of the words that rule a caption out, less those that name a class of the run.

    Args:
        path: the user's word list; None takes the bundled one.
        classes: the run's classes.

    Raises:
        UserError: the word list cannot be read.
    """
    wanted = {form for words in classes for phrase in words.phrases for form in word_forms(phrase)}
    stops = {tuple(split_words(line)) for line in read_words(read_text(path or data_file(STOP_FILE), "stop-word list"))}
    return PhraseMatcher(dict.fromkeys(stops - wanted - {()}, EXCLUDED))


def find_mentions(text: str, classes: Sequence[ClassSpec]) -> list[list[tuple[int, int]]]:
    """Where a text names each class, by the rules by which captions are chosen.

    Synonyms, subclasses and plurals count, the longest phrase at a place wins, and "hot dog" is no dog.

    Args:
        text: a prompt.
        classes: the classes to look for.

    Returns:
        Per class, character ranges ``(start, stop)`` in the order of the text.
    """
    spans = word_spans(text)
    found: list[list[tuple[int, int]]] = [[] for _ in classes]
    for match in _cached_matcher(tuple(classes)).find(split_words(text)):
        if match.label != EXCLUDED:
            found[match.label].append((spans[match.start][0], spans[match.stop - 1][1]))
    return found


@cache
def _cached_matcher(classes: tuple[ClassSpec, ...]) -> PhraseMatcher:
    return run_matcher([class_words(spec) for spec in classes])
