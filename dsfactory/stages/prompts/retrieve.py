"""Retrieval: captions that name a class, ranked by BM25, re-ranked for diversity by embeddings."""

import hashlib
import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import bm25s
import numpy as np
import numpy.typing as npt

from dsfactory.stages.prompts.corpus import Caption
from dsfactory.stages.prompts.mentions import EXCLUDED, Match, PhraseMatcher, split_words, word_spans

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it asks for its debug lines to be shown

Embedder = Callable[[list[str]], npt.NDArray[np.float32]]
"""Texts to float32 ``[N, D]`` rows of unit norm."""

SAFE_BYTES = 75
"""A CLIP tokenizer makes at most one token of a UTF-8 byte, and two of its 77 places are the begin and end
marks: a word that ends within the first 75 bytes is inside the limit, whatever the vocabulary."""

BATCH = 64
"""Texts that are embedded together."""

WINDOW = 4
"""Each caption of a list that grows is chosen from this many times as many as are chosen then; at least a batch."""

_OVERSAMPLING = 4
"""Captions kept per class for BM25 to choose from, as a multiple of the pool."""


@dataclass(frozen=True)
class Rules:
    """Which captions may become prompts.

    Attributes:
        stop: matcher of the words that rule a caption out.
        taken: matcher of the words that speak of what the run steers itself.
        fewest, most: how many classes a caption names.
        first_words: the class is named within this many words.
        max_words: longest caption in words.
        limit: captions wanted per class; bounds the memory.
    """

    stop: PhraseMatcher
    taken: PhraseMatcher
    fewest: int
    most: int
    first_words: int
    max_words: int
    limit: int


@dataclass(frozen=True)
class Candidate:
    """A caption that may become a prompt.

    Attributes:
        caption: its text and source.
        words: its words, each mention of a class as the one word of :func:`_mark`.
        labels: positions of the classes it names, the one it was found for first, then in the order of the text.
    """

    caption: Caption
    words: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass
class Findings:
    """What a pass over the corpus found.

    Attributes:
        candidates: (class position, number of classes named) to captions in the order of their texts.
        usable: how many captions each of these lists had before it was cut (distinct as far as can be told
            without remembering all of them).
        dropped: per class position, reason to number of captions that name it and are not used.
    """

    candidates: dict[tuple[int, int], list[Candidate]] = field(default_factory=dict)
    usable: Counter[tuple[int, int]] = field(default_factory=Counter)
    dropped: dict[int, Counter[str]] = field(default_factory=dict)


def collect(captions: Iterable[Caption], classes: int, matcher: PhraseMatcher, rules: Rules) -> Findings:
    """Read a corpus once and keep, per class and number of classes named, the captions that may be used.

    Duplicates (the same words in any case and punctuation) count once, at their first place. A list longer
    than a few times ``rules.limit`` keeps those whose text hashes lowest: a sample that does not depend on
    the order of the file.

    Args:
        captions: the corpus.
        classes: number of classes.
        matcher: labels are class positions.
        rules: what a caption must satisfy.
    """
    piles: dict[tuple[int, int], _Pile] = {}
    findings = Findings(dropped={position: Counter() for position in range(classes)})
    for caption in captions:
        words = split_words(caption.text)
        matches = [match for match in matcher.find(words) if match.label != EXCLUDED]
        labels = tuple(dict.fromkeys(match.label for match in matches))
        if not labels:
            continue
        reason = _objection(words, labels, rules)
        for label in labels:
            problem = reason or _too_late(caption.text, matches, label, rules)
            if problem:
                findings.dropped[label][problem] += 1
                continue
            key = (label, len(labels))
            pile = piles.setdefault(key, _Pile(_OVERSAMPLING * rules.limit))
            order = (label, *(other for other in labels if other != label))
            pile.add(words, Candidate(caption, _merged(words, matches), order))
    for key, pile in piles.items():
        findings.candidates[key] = pile.sorted()
        findings.usable[key] = pile.seen
    return findings


def _objection(words: Sequence[str], labels: Sequence[int], rules: Rules) -> str:
    if len(words) > rules.max_words:
        return "too long"
    if len(labels) > rules.most:
        return "names other classes"
    if len(labels) < rules.fewest:
        return "names too few classes"
    if rules.stop.find(words):
        return "stop word"
    return "speaks of a steered attribute" if rules.taken.find(words) else ""


def _too_late(text: str, matches: Sequence[Match], label: int, rules: Rules) -> str:
    first = {match.label: match for match in reversed(matches)}
    if first[label].stop > rules.first_words:
        return "named too late"
    end = word_spans(text)[max(match.stop for match in first.values()) - 1][1]
    return "named too late" if len(text[:end].encode()) > SAFE_BYTES else ""


def _mark(label: int) -> str:
    return f"<{label}>"  # no word of a text looks like this


def _merged(words: Sequence[str], matches: Sequence[Match]) -> tuple[str, ...]:
    merged: list[str] = []
    place = 0
    for match in matches:
        merged += words[place : match.start]
        if place < match.start or not merged or merged[-1] != _mark(match.label):  # a corgi dog is one dog
            merged.append(_mark(match.label))
        place = match.stop
    return (*merged, *words[place:])


def _order(text: str) -> int:
    """A place that says nothing about a text: texts in this order are a fair sample."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class _Pile:
    """Distinct captions, at most ``limit``: those with the lowest hashes of their words."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[int, Candidate] = {}
        self._heap: list[int] = []
        self.seen = 0

    def add(self, words: Sequence[str], candidate: Candidate) -> None:
        key = -_order(" ".join(words))  # heapq pops the smallest: the highest hash goes first
        if key in self._kept:
            return
        self.seen += 1
        self._kept[key] = candidate
        heapq.heappush(self._heap, key)
        if len(self._heap) > self._limit:
            del self._kept[heapq.heappop(self._heap)]

    def sorted(self) -> list[Candidate]:
        return sorted(self._kept.values(), key=lambda item: (item.caption.text, item.caption.source))


def rank_bm25(candidates: Sequence[Candidate], count: int) -> list[tuple[Candidate, float]]:
    """The ``count`` candidates with the highest BM25 scores (relative to the best), ties in the order given.

    The query is the class for which they were found. All words for it count as one term, so that rare
    synonyms do not outrank the name; what is left to tell captions apart is how often and in how few words
    they name it.
    """
    if not candidates:
        return []
    index = bm25s.BM25()
    index.index([list(item.words) for item in candidates], show_progress=False)
    # With one query term its document frequency scales all scores alike, so only the ratio means something.
    raw = index.get_scores([_mark(candidates[0].labels[0])])
    scores = np.round(raw.astype(np.float64) / float(raw.max()), 4)
    best = np.argsort(-scores, kind="stable")[:count]
    return [(candidates[place], float(scores[place])) for place in best]


def maximal_marginal_relevance(
    query: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], weight: float, count: int, growing: bool = False
) -> list[int]:
    """Order rows so that each is relevant and unlike those before it.

    Greedy maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998, eq. 1) with cosine similarity:
    each step takes the row with the highest ``weight · sim(row, query) − (1 − weight) · max sim(row, taken)``.
    The first k of a list of n are the list of k. Scores are compared to four decimals; ties go to the lower row.

    Args:
        query: float32 ``[D]``, unit norm.
        vectors: float32 ``[N, D]``, unit-norm rows.
        weight: λ in [0, 1]; 1 is relevance only.
        count: rows to take, at most N.
        growing: take the row number k from the first :func:`window` (k) rows only, so that k rows need no others.

    Returns:
        row numbers, best first.
    """
    relevance = vectors @ query
    redundancy = np.zeros(len(vectors), np.float32)
    free = np.ones(len(vectors), bool)
    taken: list[int] = []
    for number in range(1, min(count, len(vectors)) + 1):
        score = np.round(weight * relevance - (1 - weight) * redundancy, 4)
        seen = window(number) if growing else len(vectors)
        best = int(np.argmax(np.where(free, score, -np.inf)[:seen]))
        taken.append(best)
        free[best] = False
        similarity = vectors @ vectors[best]
        redundancy = similarity if len(taken) == 1 else np.maximum(redundancy, similarity)
    return taken


def window(count: int) -> int:
    """How many captions a list of ``count`` is chosen from, if there are as many: whole batches."""
    return -(-WINDOW * count // BATCH) * BATCH


def choose_growing(
    ranked: Sequence[tuple[Candidate, float]], query: str, embed: Embedder, weight: float, count: int
) -> list[Candidate]:
    """The first ``count`` of a diverse list, of which only what they need is embedded.

    The candidates stand in the order of their texts' hashes, and number k is chosen from the first :func:`window` (k)
    by maximal marginal relevance. So a longer list begins with the shorter one. Whole batches are embedded, always
    the same ones: the rounding of a vector does not depend on ``count``.
    """
    pool = sorted((item for item, _ in ranked), key=lambda item: (_order(item.caption.text), item.caption.text))
    vectors = embed([item.caption.text for item in pool[: window(count)]])
    places = maximal_marginal_relevance(embed([query])[0], vectors, weight, count, growing=True)
    return [pool[place] for place in places]


def diversify(
    ranked: Sequence[tuple[Candidate, float]], query: str, embed: Embedder, weight: float
) -> list[tuple[Candidate, float]]:
    """Re-order candidates by maximal marginal relevance to a query text.

    The result depends on which candidates there are, not on their order.

    Raises:
        ValueError: ``embed`` does not return one vector per text.
    """
    pool = sorted(ranked, key=lambda item: (item[0].caption.text, item[0].caption.source))
    if not pool:
        return []
    vectors = embed([query, *(item.caption.text for item, _ in pool)])
    if vectors.ndim != 2 or len(vectors) != len(pool) + 1:
        raise ValueError(f"the embedder returned the shape {vectors.shape} for {len(pool) + 1} texts")
    return [pool[place] for place in maximal_marginal_relevance(vectors[0], vectors[1:], weight, len(pool))]
