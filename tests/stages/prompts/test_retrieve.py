"""Retrieval: what is kept, BM25, and maximal marginal relevance."""

import random

import numpy as np
import numpy.typing as npt
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.corpus import Caption
from dsfactory.stages.prompts.mentions import PhraseMatcher
from dsfactory.stages.prompts.retrieve import (
    Findings,
    Rules,
    collect,
    diversify,
    maximal_marginal_relevance,
    rank_bm25,
)
from dsfactory.stages.prompts.vocabulary import class_words, run_matcher, stop_matcher


def gather(captions: list[str], classes: list[str], limit: int = 100, **rules: int) -> Findings:
    words = [class_words(ClassSpec(name=name)) for name in classes]
    values = {"fewest": 1, "most": 1, "first_words": 8, "max_words": 50} | rules
    stop = stop_matcher(PromptsConfig().stop_words, words)
    numbered = (Caption(text, f"file:{number}") for number, text in enumerate(captions, 1))
    return collect(
        numbered, len(words), run_matcher(words), Rules(stop=stop, taken=PhraseMatcher({}), limit=limit, **values)
    )


def texts(findings: Findings, label: int = 0, objects: int = 1) -> list[str]:
    return [item.caption.text for item in findings.candidates.get((label, objects), [])]


def test_only_captions_that_truly_name_the_class() -> None:
    findings = gather(["A dog runs", "A hot dog", "A dogma", "Two puppies", "A cat"], ["dog"])
    assert texts(findings) == ["A dog runs", "Two puppies"]


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("A cartoon of a dog", "stop word"),
        ("a Black-and-White photo of a dog", "stop word"),
        ("One two three four five six seven eight dog", "named too late"),
        ("Pneumonoultramicroscopicsilicovolcanoconiosis supercalifragilisticexpialidocious dog", "named too late"),
        ("A dog" + " and so on" * 20, "too long"),
        ("A dog and a bird", "names other classes"),
        ("A dog beside a seagull", "names other classes"),
    ],
)
def test_why_captions_are_dropped(caption: str, reason: str) -> None:
    findings = gather([caption], ["dog", "bird"])
    assert findings.candidates == {}
    assert findings.dropped[0] == {reason: 1}


def test_a_stop_word_that_is_a_class_is_not_applied() -> None:
    assert texts(gather(["A statue of a man", "A blurry statue"], ["statue"])) == ["A statue of a man"]


def test_duplicates_count_once_at_their_first_place() -> None:
    findings = gather(["A cat", "a Dog, runs!", "A dog runs", "A DOG RUNS."], ["dog"])
    assert [item.caption.source for item in findings.candidates[0, 1]] == ["file:2"]
    assert findings.usable[0, 1] == 1


def test_several_classes_in_a_caption() -> None:
    captions = [
        "A dog and a bird",
        "A bird, a dog and a cat",
        "A dog",
        "A cat and a dog with a bird far away from here",
    ]
    findings = gather(captions, ["dog", "bird", "cat"], fewest=2, most=3)
    assert texts(findings, 0, 2) == texts(findings, 1, 2) == ["A dog and a bird"]
    assert findings.candidates[1, 2][0].labels == (1, 0)
    assert texts(findings, 2, 3) == sorted([captions[1], captions[3]])
    assert findings.candidates[2, 3][1].labels == (2, 0, 1)
    assert findings.dropped[0]["names too few classes"] == 1


def test_a_full_list_keeps_the_same_captions_in_any_order() -> None:
    captions = [f"A dog with the number {number}" for number in range(500)]
    one = texts(gather(captions, ["dog"], limit=10))
    random.Random(0).shuffle(captions)
    assert len(one) == 40
    assert texts(gather(captions, ["dog"], limit=10)) == one


def test_bm25_prefers_captions_about_the_class_and_treats_synonyms_alike() -> None:
    captions = [
        "A dog near a dog",
        "A canine near a puppy",
        "A dog sits in a very long room full of many other things and of people",
        "A dog sits down",
    ]
    ranked = rank_bm25(gather(captions, ["dog"]).candidates[0, 1], 10)
    assert [item.caption.text for item, _ in ranked] == [captions[1], captions[0], captions[3], captions[2]]
    assert [score for _, score in ranked[:2]] == [1.0, 1.0]
    assert rank_bm25(gather(captions, ["dog"]).candidates[0, 1], 2) == ranked[:2]
    assert rank_bm25([], 10) == []


def test_a_subclass_beside_its_class_is_one_mention() -> None:
    findings = gather(["A corgi dog runs", "Dog, corgi and dog"], ["dog"])
    assert [item.words for item in findings.candidates[0, 1]] == [("a", "<0>", "runs"), ("<0>", "and", "<0>")]


def unit(rows: int, width: int = 8, seed: int = 0) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_definition(query: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], weight: float) -> list[int]:
    taken: list[int] = []
    while len(taken) < len(vectors):
        scores = {
            row: weight * float(vector @ query)
            - (1 - weight) * max((float(vector @ vectors[other]) for other in taken), default=0.0)
            for row, vector in enumerate(vectors)
            if row not in taken
        }
        taken.append(max(scores, key=lambda row: (round(scores[row], 4), -row)))
    return taken


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
def test_mmr_is_its_definition(weight: float) -> None:
    vectors = unit(40)
    assert maximal_marginal_relevance(vectors[0], vectors[1:], weight, 39) == by_definition(
        vectors[0], vectors[1:], weight
    )


def test_mmr_is_prefix_stable_and_a_permutation() -> None:
    vectors = unit(60, seed=1)
    whole = maximal_marginal_relevance(vectors[0], vectors[1:], 0.5, 59)
    assert sorted(whole) == list(range(59))
    for count in (0, 1, 7, 30):
        assert maximal_marginal_relevance(vectors[0], vectors[1:], 0.5, count) == whole[:count]


def test_mmr_puts_a_near_copy_last() -> None:
    query = np.array([1, 0, 0], np.float32)
    vectors = np.array([[0.8, 0.6, 0], [0.8, 0.599, 0.035], [0.7, 0, 0.714]], np.float32)
    assert maximal_marginal_relevance(query, vectors, 0.5, 3) == [0, 2, 1]
    assert maximal_marginal_relevance(query, vectors, 1.0, 3) == [0, 1, 2]


def test_diversify_does_not_depend_on_the_order_it_is_given() -> None:
    ranked = rank_bm25(
        gather([f"A dog {word}" for word in ["runs", "sits", "eats", "sleeps"]], ["dog"]).candidates[0, 1], 9
    )
    vectors = dict(zip(sorted(["a dog", *(item.caption.text for item, _ in ranked)]), unit(5), strict=True))

    def embed(asked: list[str]) -> npt.NDArray[np.float32]:
        return np.stack([vectors[text] for text in asked])

    assert diversify(ranked, "a dog", embed, 0.5) == diversify(ranked[::-1], "a dog", embed, 0.5)
    assert diversify([], "a dog", embed, 0.5) == []


def test_diversify_refuses_a_wrong_shape() -> None:
    ranked = rank_bm25(gather(["A dog"], ["dog"]).candidates[0, 1], 9)
    with pytest.raises(ValueError, match=r"shape \(1, 8\) for 2 texts"):
        diversify(ranked, "a dog", lambda asked: unit(1), 0.5)


def test_matcher_without_phrases_finds_nothing() -> None:
    assert PhraseMatcher({}).find(["a", "dog"]) == []
