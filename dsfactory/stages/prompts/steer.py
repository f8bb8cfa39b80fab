"""Attributes that a user steers: style, scene and weather, one wish of each list per prompt."""

from collections.abc import Mapping, Sequence
from functools import cache

from pydantic import Field

from dsfactory.core.reading import read_yaml
from dsfactory.core.registry import names_in_words
from dsfactory.core.section import Section, parse_section
from dsfactory.core.seeds import derive_seed
from dsfactory.errors import UserError
from dsfactory.stages.prompts.config import ATTRIBUTES, DOMAIN, PromptsConfig
from dsfactory.stages.prompts.domains import Domains
from dsfactory.stages.prompts.mentions import EXCLUDED, PhraseMatcher, split_words
from dsfactory.stages.prompts.resources import data_file
from dsfactory.stages.prompts.vocabulary import ClassWords, entries, run_matcher

ATTRIBUTE_FILE = "attribute_words.yaml"
SLOT = "{scene}"
WORDING = "wording"
"""Among a sample's wishes, what its domain puts behind the caption."""
OTHERS = "others"
"""Among a sample's wishes, the things of other kinds in its background."""
_ORDER = (OTHERS, "scene", "weather", WORDING, "style")
"""In which order wishes follow a caption: what belongs to the sentence first."""


class AttributeWords(Section):
    """Content of attribute_words.yaml; the file's head says what it is for."""

    joined: tuple[str, ...] = Field(description="First words of wishes that follow a caption without a comma.")
    style: tuple[str, ...] = Field(description="Words that speak of a style.")
    scene: tuple[str, ...] = Field(description="Words that speak of a place.")
    weather: tuple[str, ...] = Field(description="Words that speak of weather or light.")


@cache
def attribute_words() -> AttributeWords:
    """The bundled words."""
    path = data_file(ATTRIBUTE_FILE)
    return parse_section(AttributeWords, read_yaml(path), str(path))


class Steering:
    """What a run's prompts are to show beside its classes.

    Every list is gone through in a shuffled order, again and again, so that each of its values comes equally often.
    The order depends on the run's seed, the attribute and the class: the lists are independent of each other.

    Args:
        config: holds the lists.
        classes: the run's classes.
        run_seed: seed of the run.

    Raises:
        UserError: a value names a class of the run, which would be drawn and not labelled.
    """

    def __init__(self, config: PromptsConfig, classes: Sequence[ClassWords], run_seed: int) -> None:
        self._values: dict[str, tuple[str, ...]] = {
            name: values for name in ATTRIBUTES if (values := getattr(config, name))
        }
        matcher = run_matcher(classes)
        self.domains = Domains(config, matcher)
        self._classes = [words.name for words in classes]
        self._distractors = config.distractors
        self.others = _other_nouns(matcher) if config.distractors else []
        self._seed = run_seed
        self._words = attribute_words()
        for name, values in self._values.items():
            for value in values:
                for match in matcher.find(split_words(value)):
                    if match.label != EXCLUDED:
                        raise UserError(
                            f"the {name} {value!r} names the class {classes[match.label].name!r}, which would be drawn "
                            f"without being asked for: use --objects to draw several classes, or another {name}"
                        )

    def __contains__(self, name: object) -> bool:
        return name in self._values

    @property
    def most_words(self) -> int:
        """Most words that the wishes add to a prompt."""
        wordings = [text for bundle in self.domains.bundles.values() for text in bundle.wordings]
        lists = [*self._values.values(), *([wordings] if wordings else [])]
        others = 4 + 4 * self._distractors if self._distractors else 0  # with a … and a … in the background
        return others + sum(max(len(split_words(value)) for value in values) for values in lists)

    def taken(self) -> PhraseMatcher:
        """Matcher of the words that speak of a steered attribute."""
        about = {*self._values, *(name for bundle in self.domains.bundles.values() for name in bundle.about)}
        phrases = {tuple(split_words(word)) for name in about for word in getattr(self._words, name)}
        return PhraseMatcher(dict.fromkeys(phrases, EXCLUDED))

    def draw(self, class_name: str, index: int) -> dict[str, str | None]:
        """What a class's prompt with this index is to show: a value per attribute, None where it is not steered.

        Runs with domains also get the sample's domain, and its wording; those with distractors, these.
        """
        wishes = {name: self._draw(name, class_name, index) for name in ATTRIBUTES}
        if self.domains:
            wishes[DOMAIN], wishes[WORDING] = self.domains.draw(self._seed, self._classes, class_name, index)
        if self._distractors:
            ranked = sorted(self.others, key=lambda noun: derive_seed(self._seed, OTHERS, class_name, index, noun))
            wishes[OTHERS] = f"with {names_in_words(ranked[: self._distractors])} in the background"
        return wishes

    def _draw(self, name: str, class_name: str, index: int) -> str | None:
        values = self._values.get(name)
        if not values:
            return None
        turn, place = divmod(index, len(values))
        return sorted(values, key=lambda value: derive_seed(self._seed, name, class_name, turn, value))[place]

    def extend(self, text: str, wishes: Mapping[str, str | None]) -> str:
        """A caption with its wishes behind it: the place of the class in it does not change."""
        told = [self._attached(value) for name in _ORDER if (value := wishes.get(name))]
        return text.rstrip(" .,;!?") + "".join(told) if told else text

    def fill(self, text: str, wishes: Mapping[str, str | None]) -> str:
        """A made prompt, whose slot takes the scene if it has one, with the other wishes behind it."""
        scene = wishes["scene"]
        if SLOT not in text or scene is None:
            return self.extend(text, wishes)
        return self.extend(text.replace(f" {SLOT}", self._attached(scene)), {**wishes, "scene": None})

    def _attached(self, value: str) -> str:
        words = split_words(value)
        joined = any(words[: len(parts)] == parts for phrase in self._words.joined if (parts := split_words(phrase)))
        return f" {value}" if joined else f", {value}"


def _other_nouns(classes: PhraseMatcher) -> list[str]:
    """Things of the word list, with their articles, that are none of the run's classes."""
    from dsfactory.stages.prompts.expand import with_article

    nouns = [entry.noun or name for name, entry in entries().items() if entry.countable and not entry.homograph]
    return [with_article(noun) for noun in nouns if not classes.find(split_words(noun))]
