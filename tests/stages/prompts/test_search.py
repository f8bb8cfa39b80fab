"""What ``dsfactory prompts`` shows, on the real corpus."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.search import Found, search, supply


@cache
def everything(word: str) -> list[Found]:
    """All that the corpus that comes with dsfactory has of a word."""
    return search(word, PromptsConfig(), limit=10_000)


def test_search_finds_dogs() -> None:
    found = everything("dog")
    assert len(found) > 400
    assert not any("hot dog" in item.text.lower() for item in found)
    assert len(everything("hot dog")) > 20
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)
    assert search("dog", PromptsConfig(), limit=3) == found[:3]


def test_search_knows_words_of_several_words_and_other_names(few: str) -> None:
    assert any("traffic signal" in item.text for item in everything("traffic light"))
    config = PromptsConfig(corpus=few)
    assert search("aeroplane", config) == search("airplane", config) != []


def test_search_without_a_hit_is_empty(few: str) -> None:
    assert search("axolotl", PromptsConfig(corpus=few)) == []


@pytest.mark.parametrize("word", ["", "../dogs", "d" * 500, "犬"])
def test_search_refuses_what_is_no_class_name(word: str) -> None:
    with pytest.raises(UserError) as error:
        search(word, PromptsConfig())
    assert "\n" not in str(error.value)


def test_search_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("n,words\n1,A café at night\n2,Zwei Cafés\n3,A bar\n", encoding="utf-8")
    found = search("café", PromptsConfig(corpus=str(path), column="words"))
    assert [item.source for item in found] == ["file:3", "file:2"]


def test_search_with_an_embedder_is_diverse(few: str) -> None:
    def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        letters = np.array([[text.lower().count(chr(97 + place)) for place in range(26)] for text in texts], np.float32)
        return letters / np.linalg.norm(letters, axis=1, keepdims=True)

    config = PromptsConfig(corpus=few, pool=30)
    plain = search("dog", config, limit=30)
    diverse = search("dog", config, limit=30, embed=embed)
    assert {item.text for item in plain} == {item.text for item in diverse}
    assert plain != diverse


def test_supply_counts_captions_and_templates() -> None:
    dog, axolotl = supply([ClassSpec(name="dog"), ClassSpec(name="axolotl")], PromptsConfig(objects="1-2"))
    assert dog.captions[1] == len(everything("dog"))
    assert dog.captions[2] == 0
    assert dog.dropped["named too late"] > 0
    assert axolotl.captions == {1: 0, 2: 0}
    assert axolotl.made[1] > 50
