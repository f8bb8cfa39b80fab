"""Prompts made from templates, scenes and subclasses: the fall-back and the supplement of captions."""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from dsfactory.core.reading import read_yaml
from dsfactory.core.section import Section, parse_section
from dsfactory.core.seeds import derive_seed
from dsfactory.stages.prompts.mentions import EXCLUDED, PhraseMatcher, class_matcher, is_plural, split_words
from dsfactory.stages.prompts.prompt import Prompt
from dsfactory.stages.prompts.resources import data_file
from dsfactory.stages.prompts.steer import SLOT, Steering
from dsfactory.stages.prompts.vocabulary import ClassWords, run_matcher

TEMPLATES_FILE = "templates.yaml"
_GOLDEN = (5**0.5 - 1) / 2
_AN = ("hour", "honest", "heir", "suv", "lcd", "x-", "mri")
_A = ("uni", "use", "usu", "eu", "one", "once", "ute", "uti")


class Templates(Section):
    """Content of templates.yaml; the file's head says what the placeholders mean."""

    axes: dict[str, tuple[str, ...]] = Field(
        {}, description="Further placeholders, such as {camera}, and their values; each comes equally often."
    )
    one: tuple[str, ...] = Field(min_length=1, description="Templates for one class, each with {object}.")
    several: tuple[str, ...] = Field(min_length=1, description="Templates for several classes, each with {objects}.")
    scenes: dict[str, tuple[str, ...]] = Field(description="Scene phrases by group.")

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, axes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, values in axes.items():
            if not name.isidentifier() or name in ("object", "objects", "scene"):
                raise ValueError(f"the axis {name!r} must be a word other than object, objects and scene")
            if not values or any("{" in value or "}" in value for value in values) or len(set(values)) < len(values):
                raise ValueError(f"the axis {name!r} must have values: plain words, none twice")
        return axes

    @field_validator("one", "several")
    @classmethod
    def _check_placeholders(cls, templates: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        wanted = "{object}" if info.field_name == "one" else "{objects}"
        for template in templates:
            rest = template.replace(wanted, "", 1)
            for name in ("scene", *info.data.get("axes", {})):
                rest = rest.replace(f"{{{name}}}", "", 1)
            if wanted not in template or "{" in rest or "}" in rest:
                raise ValueError(
                    f"the template {template!r} must hold {wanted} once, and may hold {{scene}} and each axis once"
                )
        return templates

    @classmethod
    def read(cls, path: Path | None = None) -> "Templates":
        """The bundled templates, or those of a user's file.

        Raises:
            UserError: unreadable, or a placeholder is missing or unknown.
        """
        path = path or data_file(TEMPLATES_FILE)
        return parse_section(cls, read_yaml(path), str(path))

    def frames(self, templates: Sequence[str], groups: Sequence[str]) -> list[str]:
        """Templates with their scenes filled in, in order; without any scene only those that need none."""
        scenes = [scene for group in groups for scene in self.scenes.get(group, ())]
        frames = []
        for template in templates:
            if "{scene}" in template:
                frames += [template.replace("{scene}", scene) for scene in scenes]
            else:
                frames.append(template)
        return frames or [template.replace("{scene}", "").strip() for template in templates]


def with_article(noun: str) -> str:
    """``a dog``, ``an airplane``, ``a unicycle``; a plural (``glasses``) stays bare."""
    if is_plural(split_words(noun)[-1]):
        return noun
    low = noun.lower()
    vowel = low.startswith(_AN) or (low[0] in "aeiou" and not low.startswith(_A))
    return f"{'an' if vowel else 'a'} {noun}"


class Expander:
    """Make prompts for the classes of a run.

    Args:
        classes: what the classes are called.
        templates: sentence frames and scenes.
        steering: leaves out frames that speak of what it steers; a steered scene takes the place of the bundled
            ones, and prompts then still hold their slot.
    """

    def __init__(self, classes: Sequence[ClassWords], templates: Templates, steering: Steering | None = None) -> None:
        self._classes = classes
        matcher = run_matcher(classes)

        def frames(wanted: Sequence[str], words: ClassWords) -> list[str]:
            if steering is None:
                return _neutral(templates.frames(wanted, words.scenes), matcher)
            open_frames = _with_slot(wanted) if "scene" in steering else templates.frames(wanted, words.scenes)
            return _neutral(_silent(open_frames, steering.taken()), matcher)

        self._axes = {name: _neutral(list(values), matcher) for name, values in templates.axes.items()}
        self._one = [frames(templates.one, words) for words in classes]
        self._several = [frames(templates.several, words) for words in classes]
        self._kinds = [_kinds(words) for words in classes]

    def count(self, position: int, objects: int) -> int:
        """How many prompts :meth:`make` has for a class before they repeat."""
        if objects == 1:
            return len(self._one[position]) * len(self._kinds[position])
        return len(self._several[position]) * math.comb(len(self._classes) - 1, objects - 1)

    def make(self, position: int, objects: int, number: int) -> Prompt:
        """Prompt ``number`` (0 to :meth:`count` − 1) of a class, naming ``objects`` classes.

        Neighbouring numbers differ in subclass, template and scene; a number's prompt depends on nothing else.
        """
        words = self._classes[position]
        total = self.count(position, objects)
        place = number * _stride(total) % total
        if objects == 1:
            frames, kinds = self._one[position], self._kinds[position]
            thing, source = kinds[place // len(frames)]
            text = self._on_axes(frames[place % len(frames)], words.name, number).replace("{object}", thing)
            return Prompt(text, source, (words.name,))
        return self._listing(position, self._partners(position, objects - 1, number), number, place)

    def naming(self, position: int, others: Sequence[int], number: int) -> Prompt:
        """Prompt ``number`` of a class that names these other classes too."""
        return self._listing(position, [self._classes[place] for place in others], number, number)

    def _listing(self, position: int, partners: Sequence[ClassWords], number: int, place: int) -> Prompt:
        words, frames = self._classes[position], self._several[position]
        others = [words, *partners]
        things = [object_phrase(item) for item in others]
        listed = f"{', '.join(things[:-1])} and {things[-1]}"
        text = self._on_axes(frames[place % len(frames)], words.name, number).replace("{objects}", listed)
        return Prompt(text, "template", tuple(item.name for item in others))

    def _on_axes(self, frame: str, class_name: str, number: int) -> str:
        """A frame with a value for each of its axes: all come once, in a shuffled order, before any comes again."""
        for name, values in self._axes.items():
            turn, place = divmod(number, len(values))
            order = sorted(values, key=lambda value: derive_seed(turn, "axis", name, class_name, value))
            frame = frame.replace(f"{{{name}}}", order[place])
        return frame

    def _partners(self, position: int, count: int, number: int) -> list[ClassWords]:
        """``count`` other classes, drawn by hash: even shares, and no table of all combinations."""
        name = self._classes[position].name
        others = [item for place, item in enumerate(self._classes) if place != position]
        return sorted(others, key=lambda item: derive_seed(number, "partner", name, item.name))[:count]


def _neutral(frames: list[str], matcher: PhraseMatcher) -> list[str]:
    """The frames whose own words name no class of the run: no "on a wooden table" where tables are labelled."""
    named = [any(match.label != EXCLUDED for match in matcher.find(split_words(frame))) for frame in frames]
    return [frame for frame, names in zip(frames, named, strict=True) if not names] or frames


def _with_slot(templates: Sequence[str]) -> list[str]:
    """Templates whose slot for a scene stands behind the class; those without it where there is none.

    A scene before the class could push that out of what the text encoder reads.
    """
    behind = [text for text in templates if f" {SLOT}" in text and text.index("{object") < text.index(SLOT)]
    return behind or [" ".join(text.replace(SLOT, "").split()) for text in templates]


def _silent(frames: list[str], taken: PhraseMatcher) -> list[str]:
    """The frames whose own words do not speak of a steered attribute; all of them where each does."""
    silent = []
    for frame in frames:
        own = frame.replace(SLOT, "").replace("{objects}", "").replace("{object}", "")
        if not taken.find(split_words(own)):
            silent.append(frame)
    return silent or frames


def object_phrase(words: ClassWords) -> str:
    """A class as it stands in a sentence: ``a dog``, ``a pair of skis``."""
    return with_article(words.noun) if words.countable else words.noun


def _kinds(words: ClassWords) -> list[tuple[str, str]]:
    """The class and its subclasses as they stand in a template, with the source of each."""
    named = class_matcher([[words.noun, *words.names]])
    sources = {object_phrase(words): "template"}
    for subclass in words.subclasses:
        says_it = bool(named.find(split_words(subclass))) or subclass.endswith(words.noun)  # speed boat, speedboat
        phrase = subclass if words.standalone or says_it else f"{subclass} {words.noun}"
        sources.setdefault(with_article(phrase), f"subclass:{subclass}")
    return list(sources.items())


def _stride(total: int) -> int:
    """A step near ``total`` / golden ratio that visits every place once."""
    step = max(1, round(total * _GOLDEN))
    while math.gcd(step, total) != 1:
        step += 1
    return step
