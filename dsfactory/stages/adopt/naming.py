"""What labels of several sources are called in one run: by name, by words that mean the same, or as the user says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from dsfactory.core.classes import ClassSpec, label_slug
from dsfactory.core.sample import BACKGROUND, MAX_CLASSES, VOID, VOID_NAMES
from dsfactory.errors import UserError
from dsfactory.stages.prompts.mentions import plural, singular
from dsfactory.stages.prompts.vocabulary import same_class


@dataclass(frozen=True)
class Called:
    """What became of the labels.

    Attributes:
        classes: of the run.
        ids: per source, by label: a class id, 0 for background, 255 for what is to be ignored.
        unknown: labels for which the run has no class, in the order in which they were met.
    """

    classes: tuple[ClassSpec, ...]
    ids: tuple[dict[str, int], ...]
    unknown: tuple[str, ...]


@dataclass
class _Classes:
    """Classes that are known by words; ``words`` are plain forms to positions."""

    specs: list[ClassSpec] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)

    def add(self, spec: ClassSpec) -> int:
        place = len(self.specs)
        self.specs.append(spec)
        for word in (spec.name, *spec.synonyms):
            for form in (word, *_near(word)):
                self.words.setdefault(_plain(form), place)
        return place

    def find(self, label: str) -> int | None:
        """By its name first; then as singular, plural, or another word for the same."""
        forms = (label, *_near(label))
        return next((self.words[_plain(form)] for form in forms if _plain(form) in self.words), None)


def _plain(name: str) -> str:
    return label_slug(name).replace("-", "") or name.casefold()


def _near(word: str) -> Iterator[str]:
    """Other forms of a word, and the word list's name for the same."""
    if one := singular(word):
        yield one
    if word.isascii():
        yield plural(word)
    yield from same_class(word)


def call_labels(
    sources: Sequence[tuple[str, Sequence[str]]], renamed: Mapping[str, str], wanted: Sequence[ClassSpec]
) -> Called:
    """Settle what each label of each source is in the run.

    Args:
        sources: how each is called in an error, and its labels.
        renamed: new names by old ones, compared without case, spaces and hyphens.
        wanted: the run's classes; empty to make one of every label.

    Raises:
        UserError: a name of ``renamed`` or of ``wanted`` is in no source, or a label cannot be a class.
    """
    new = {_plain(old): name for old, name in renamed.items()}
    there = {_plain(label) for _, labels in sources for label in labels}
    listed = list(dict.fromkeys(label for _, labels in sources for label in labels))
    for old in renamed:
        if _plain(old) not in there:
            raise UserError(f"--map {old}={renamed[old]}: no source has the label {old!r}; there are {_few(listed)}")
    classes, met = _Classes(), set()
    for spec in wanted:
        classes.add(spec)
    ids, unknown = [], []
    for where, labels in sources:
        own: dict[str, int] = {}
        taken: dict[int, str] = {}  # two labels of one source are two classes, unless they are renamed to one
        for label in labels:
            name = new.get(_plain(label), label)
            if name.casefold() in VOID_NAMES or name.casefold() == "background":
                own[label] = BACKGROUND if name.casefold() == "background" else VOID
                continue
            place = classes.find(name)
            if not wanted and place is not None and taken.get(place, name) != name:
                place = None
            if place is None and not wanted:
                place = classes.add(_spec(name, label, where))
            if place is None:
                own[label] = BACKGROUND
                unknown.append(label)
                continue
            taken[place] = name
            met.add(place)
            own[label] = place + 1
        ids.append(own)
    if lost := [spec.name for place, spec in enumerate(classes.specs) if place not in met]:
        raise UserError(f"no source has a label for the class {lost[0]!r}: there are {_few(listed)}; use --map OLD=NEW")
    if len(classes.specs) > MAX_CLASSES:
        raise UserError(
            f"the sources have {len(classes.specs)} labels, and 8-bit masks hold {MAX_CLASSES}: "
            "choose with --classes, or join some with --map"
        )
    if not classes.specs:
        raise UserError("no label of the sources is left as a class: see --map and --classes")
    return Called(tuple(classes.specs), tuple(ids), tuple(dict.fromkeys(unknown)))


def _spec(name: str, label: str, where: str) -> ClassSpec:
    try:
        return ClassSpec(name=name)
    except ValidationError as error:
        why = str(error.errors(include_url=False)[0]["ctx"]["error"])
        raise UserError(f"{where}: {why}; give it a name with --map '{label}=NAME'") from error


def _few(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    return ", ".join(labels[:20]) + more
