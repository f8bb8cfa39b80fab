from pathlib import Path

import numpy as np
import pytest

from scripts.pocket.captions import (
    PLACES,
    SYNONYMS,
    background_of,
    classes_named,
    draw_caption,
    load_captions,
    template_caption,
)


@pytest.mark.parametrize(
    ("caption", "classes"),
    [
        ("Two puppies and a kitten", ("cat", "dog")),
        ("A hotdog in a bun", ()),
        ("geese near a SHIP", ("bird", "boat")),
        ("An airplane over buses", ("aeroplane", "bus")),
        ("cattle grazing", ()),
    ],
)
def test_classes_are_named_by_whole_words_and_synonyms(caption: str, classes: tuple[str, ...]) -> None:
    assert classes_named(caption) == classes


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("a dog on a snowy street at night", "night"),
        ("a dog on a snowy street", "snow"),
        ("a cat on a couch", "wall"),
        ("a dog", None),
    ],
)
def test_background_follows_the_words(caption: str, kind: str | None) -> None:
    assert background_of(caption) == kind


def test_captions_are_filed_under_exactly_the_classes_they_name(caption_file: Path) -> None:
    captions = load_captions(caption_file)
    assert set(captions) == {("dog",), ("bird", "dog")}
    assert len(captions["dog",]) == 2


def test_every_template_names_its_classes_and_place() -> None:
    for seed in range(300):
        rng = np.random.default_rng([seed])
        names = tuple(rng.choice(list(SYNONYMS), 1 + seed % 3, replace=False).tolist())
        kind = list(PLACES)[seed % len(PLACES)]
        caption = template_caption(names, kind, rng)
        assert set(classes_named(caption)) == set(names), caption
        assert caption.endswith(PLACES[kind])


def test_places_ask_for_the_background_they_stand_for() -> None:
    for kind, places in PLACES.items():
        assert {background_of(place) for place in places} == {kind}


def test_drawn_captions_mix_real_and_made_ones(caption_file: Path) -> None:
    captions = load_captions(caption_file)
    drawn = [draw_caption(("dog", "bird"), captions, np.random.default_rng([seed])) for seed in range(200)]
    real = [caption for caption, _ in drawn if caption in captions["bird", "dog"]]
    assert 60 < len(real) < 140
    assert {kind for caption, kind in drawn if caption in real} == {"sand"}
