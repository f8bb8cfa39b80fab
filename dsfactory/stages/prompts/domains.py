"""Domains: named bundles of wordings under which images are asked for, balanced over the classes."""

import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from dsfactory.core.reading import read_yaml
from dsfactory.core.section import Section, parse_section
from dsfactory.core.seeds import derive_seed
from dsfactory.errors import UserError
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.mentions import EXCLUDED, PhraseMatcher, split_words
from dsfactory.stages.prompts.resources import data_file

DOMAINS_FILE = "domains.yaml"
MAX_WEIGHT = 100


class Domain(Section):
    """A bundle of domains.yaml; the file's head says what each field means."""

    wordings: tuple[str, ...] = Field(min_length=1, description="What stands behind a caption, in turn.")
    negative: tuple[str, ...] = Field((), description="What guidance steers away from.")
    about: tuple[Literal["style", "scene", "weather"], ...] = Field((), description="Attributes that it speaks of.")
    strength: float = Field(0.6, ge=0, le=1, description="Share of the noise with which a picture is repainted.")
    keeps_objects: bool = Field(True, description="Objects keep their outlines when a picture is repainted.")

    @field_validator("wordings")
    @classmethod
    def _check_wordings(cls, wordings: tuple[str, ...]) -> tuple[str, ...]:
        for text in wordings:
            if len(text) > 120 or "{" in text or "}" in text or not text.isprintable():
                raise ValueError(f"the wording {text[:40]!r} must be plain words, at most 120 characters")
        return wordings


class _Bundles(Section):
    bundles: dict[str, Domain]

    @field_validator("bundles")
    @classmethod
    def _check_names(cls, bundles: dict[str, Domain]) -> dict[str, Domain]:
        for name in bundles:
            if not name.replace("-", "").isalnum() or not name.isascii() or name != name.lower():
                raise ValueError(f"the domain {name[:40]!r} must be a word of small letters, digits and hyphens")
        return bundles


@cache
def _read(path: Path) -> dict[str, Domain]:
    content = {"bundles": read_yaml(path)}
    return parse_section(_Bundles, content, str(path)).bundles


class Domains:
    """The domains that a run asks for, each with a weight.

    Args:
        config: names and weights (``night:3``), and a file of the user's own bundles.
        classes: matcher of the run's classes: words that name one are left out, for it would be drawn without being
            asked for, or steered away from.

    Raises:
        UserError: a name is unknown or given twice, a weight is none, every wording names a class, or the file cannot
            be read.
    """

    def __init__(self, config: PromptsConfig, classes: PhraseMatcher | None = None) -> None:
        known = dict(_read(data_file(DOMAINS_FILE)))
        if config.domains_file is not None:
            known |= _read(config.domains_file.absolute())
        self.weights: dict[str, int] = {}
        for text in config.domains:
            name, colon, weight = (part.strip() for part in text.partition(":"))
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                guess = f"did you mean {near[0]!r}? " if near else ""
                raise UserError(f"there is no domain {name[:40]!r}: {guess}There are {', '.join(known)}")
            if colon and not (weight.isascii() and weight.isdigit() and 1 <= int(weight[:4]) <= MAX_WEIGHT):
                raise UserError(f"the domain {text[:40]!r}: write its weight from 1 to {MAX_WEIGHT}, as in {name}:3")
            if name in self.weights:
                raise UserError(f"the domain {name!r} is named twice: night:2 makes it come twice as often")
            self.weights[name] = int(weight) if colon else 1
        self.bundles = {name: _without_classes(name, known[name], classes) for name in self.weights}
        self._slots = [(name, place) for name, weight in self.weights.items() for place in range(weight)]

    def __bool__(self) -> bool:
        return bool(self.weights)

    def identity(self) -> dict[str, Any]:
        """Names, weights and what prompts and images take of the bundles."""
        return {
            name: {"weight": self.weights[name], **bundle.model_dump(mode="json", include={*_TAKEN})}
            for name, bundle in self.bundles.items()
        }

    def draw(self, seed: int, classes: Sequence[str], class_name: str, index: int) -> tuple[str, str]:
        """The domain of a class's sample with this index, and its wording.

        A turn is a shuffled Latin square: each class goes through all domains once (through one of weight 3 three
        times), and each at another place than the other classes. So the cells of class by domain differ by one image
        at most, for equal weights, and the domains come equally often within a few images of any run.

        Args:
            seed: of the run.
            classes: names of all classes.
            class_name: of the sample.
            index: its place in the class.
        """
        turn, row = divmod(index, len(self._slots))
        order = sorted(range(len(self._slots)), key=lambda place: derive_seed(seed, "domain", turn, place))
        columns = sorted(classes, key=lambda name: derive_seed(seed, "domain class", turn, name))
        name, nth = self._slots[order[(row + columns.index(class_name)) % len(order)]]
        wordings = self.bundles[name].wordings
        use = turn * self.weights[name] + nth
        again, place = divmod(use, len(wordings))
        key = (name, class_name, again)
        shuffled = sorted(wordings, key=lambda text: derive_seed(seed, "wording", *key, text))
        return name, shuffled[place]

    def negatives(self) -> dict[str, str]:
        """By domain, what guidance steers away from; only those that say something."""
        return {name: ", ".join(bundle.negative) for name, bundle in self.bundles.items() if bundle.negative}


def _without_classes(name: str, bundle: Domain, classes: PhraseMatcher | None) -> Domain:
    def is_free(text: str) -> bool:
        return classes is None or all(match.label == EXCLUDED for match in classes.find(split_words(text)))

    wordings = tuple(filter(is_free, bundle.wordings))
    if not wordings:
        raise UserError(
            f"the domain {name!r} is told by words that name a class of the run: write one of your own, --domains-file"
        )
    return bundle.model_copy(update={"wordings": wordings, "negative": tuple(filter(is_free, bundle.negative))})


_TAKEN = ("wordings", "negative", "about")
