"""How many objects of a class a prompt asks for: "two dogs", "a flock of sheep", "a cat"."""

import re
from collections.abc import Sequence

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.prompts.mentions import is_plural
from dsfactory.stages.prompts.vocabulary import find_mentions

SEVERAL = 0
"""More than one, and it is not said how many."""

_ONE = {"a", "an", "one", "single", "lone", "another"}
_NUMBERS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "dozen": 12,
    "pair": 2, "couple": 2, "both": 2, "trio": 3,
}  # fmt: skip
_MANY = {
    "several", "many", "some", "few", "multiple", "various", "group", "groups", "bunch", "herd", "flock", "row",
}  # fmt: skip
_REACH = 4
"""Words in front of a class that may count it."""
_BREAK = re.compile(r"[,.;:]|\b(?:and|or|with|next|near|on|in|at|behind|beside)\b")


def asked_numbers(prompt: str, classes: Sequence[ClassSpec]) -> list[int | None]:
    """The number of objects of each class that a prompt asks for: :data:`SEVERAL` for an unknown one, None when it
    says nothing of a number. Of several mentions the one with the highest number counts.

    Example:
        >>> asked_numbers("two big dogs and a cat", [ClassSpec(name="dog"), ClassSpec(name="cat")])
        [2, 1]
    """
    found: list[int | None] = []
    for spans in find_mentions(prompt, classes):
        numbers = [number for span in spans if (number := _number(prompt, *span)) is not None]
        several = SEVERAL in numbers and max(numbers) < 2
        found.append(SEVERAL if several else max(numbers, default=None))
    return found


def _number(prompt: str, start: int, stop: int) -> int | None:
    before = _BREAK.split(prompt[:start].lower())[-1]
    words = re.findall(r"[a-z]+|\d+", before)[-_REACH:]
    for word in reversed(words):
        if word in _NUMBERS:
            return _NUMBERS[word]
        if word.isdigit() and 1 <= int(word) <= 20:
            return int(word)
        if word in _MANY:
            return SEVERAL
    if is_plural(re.findall(r"\w+", prompt[start:stop].lower())[-1]):
        return SEVERAL
    return 1 if _ONE.intersection(words) else None
