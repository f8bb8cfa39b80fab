"""Which words of a text name a class: whole words and phrases, in any case, also in the plural."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pluralizer import Pluralizer

EXCLUDED = -1
"""Label of a phrase that holds a class's word and does not name the class ("hot dog")."""

_WORD = re.compile(r"[^\W_]+")
_HEAD_END = re.compile(r" (?:of|in|on|with|for|from|at) ")
_plurals = Pluralizer()  # type: ignore[no-untyped-call]


def split_words(text: str) -> list[str]:
    """Letters-and-digits words of a text, case-folded: ``"Fire-hydrant's"`` gives fire, hydrant, s."""
    return [match[0].casefold() for match in _WORD.finditer(text)]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Character offsets ``(start, stop)`` of the words of :func:`split_words`."""
    return [match.span() for match in _WORD.finditer(text)]


@cache
def plural(phrase: str) -> str:
    """Plural of a noun phrase: traffic lights, mice, bunches of bananas. A plural stays as it is."""
    cut = _HEAD_END.search(phrase)
    head, rest = (phrase[: cut.start()], phrase[cut.start() :]) if cut else (phrase, "")
    formed = str(_plurals.plural(head))
    if formed == head and not head[-1:].isascii():
        formed += "s"  # the library's rules know ASCII letters only: café, cafés
    return formed + rest


def singular(phrase: str) -> str:
    """Singular of a noun phrase; empty for one that is none, or only a plural."""
    formed = str(_plurals.singular(phrase))
    return formed if formed != phrase and plural(formed).casefold() == phrase.casefold() else ""


def is_plural(noun: str) -> bool:
    """Whether a noun can only be a plural: glasses, and not sheep."""
    return bool(_plurals.is_plural(noun)) and not _plurals.is_singular(noun)


def word_forms(phrase: str) -> list[tuple[str, ...]]:
    """A phrase and its plural as tuples of words."""
    return list(dict.fromkeys(tuple(split_words(form)) for form in (phrase, plural(phrase))))


@dataclass(frozen=True)
class Match:
    """Words ``start`` to ``stop`` (exclusive) of a text bear a label."""

    label: int
    start: int
    stop: int


class PhraseMatcher:
    """Find phrases in a list of words, leftmost first, the longest at each place, without overlap.

    Args:
        phrases: non-empty tuples of words to labels.
    """

    def __init__(self, phrases: Mapping[tuple[str, ...], int]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for phrase, label in sorted(phrases.items(), key=lambda item: -len(item[0])):
            self._by_first.setdefault(phrase[0], []).append((phrase, label))

    def find(self, words: Sequence[str]) -> list[Match]:
        """All matches in a text's words, in order."""
        if self._by_first.keys().isdisjoint(words):
            return []
        matches = []
        place = 0
        while place < len(words):
            match = self._at(words, place)
            if match is not None:
                matches.append(match)
            place = match.stop if match is not None else place + 1
        return matches

    def _at(self, words: Sequence[str], place: int) -> Match | None:
        for phrase, label in self._by_first.get(words[place], ()):
            stop = place + len(phrase)
            if tuple(words[place:stop]) == phrase:
                return Match(label, place, stop)
        return None


def class_matcher(names: Sequence[Sequence[str]], excluded: Iterable[str] = ()) -> PhraseMatcher:
    """A matcher whose labels are class positions, or :data:`EXCLUDED`.

    Args:
        names: per class its phrases, the most specific claim first: where two classes share a phrase,
            the class that lists it earlier has it, then the class that comes first.
        excluded: phrases that name no class unless a class claims them; ``{class}`` in one stands for
            every phrase of every class.
    """
    claims: dict[tuple[str, ...], tuple[int, int]] = {}
    for label, phrases in enumerate(names):
        for rank, phrase in enumerate(phrases):
            for form in word_forms(phrase):
                claims[form] = min(claims.get(form, (rank, label)), (rank, label))
    labels: dict[tuple[str, ...], int] = {}
    for line in excluded:
        before, place, after = line.partition("{class}")
        if place:
            labels |= {(*split_words(before), *form, *split_words(after)): EXCLUDED for form in claims}
        else:
            labels |= dict.fromkeys(word_forms(line), EXCLUDED)
    return PhraseMatcher(labels | {form: label for form, (_, label) in claims.items()})
