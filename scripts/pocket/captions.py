"""Captions for scenes: real COCO captions that name exactly the classes present, or templates.

The captions must look like the prompts that dsfactory draws with, so that the pocket model has seen their like: the
same class words, the same chatter around them ("a man standing next to ..."), the same scene words. Words for
things that no sticker shows are learnt to be harmless.
"""

import gzip
import json
import re
from pathlib import Path

import numpy as np

from dsfactory.core.classes import ClassSpec

SYNONYMS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("aeroplane", "airplane", "plane", "jet", "airliner"),
    "bird": ("bird", "duck", "swan", "goose", "geese", "owl", "parrot", "penguin", "flamingo", "dove",
             "seagull", "pigeon"),
    "boat": ("boat", "sailboat", "ship", "ferry", "yacht"),
    "bus": ("bus", "buses"),
    "car": ("car", "taxi", "automobile"),
    "cat": ("cat", "kitten", "kitty"),
    "dog": ("dog", "puppy", "puppies"),
    "horse": ("horse", "pony", "ponies"),
}  # fmt: skip

# First hit wins, in this order.
SCENE_WORDS: dict[str, tuple[str, ...]] = {
    "night": ("night", "dark", "evening"),
    "snow": ("snow", "snowy", "winter", "ice", "ski"),
    "sand": ("beach", "sand", "sandy", "desert", "shore", "dirt"),
    "water": ("water", "lake", "sea", "ocean", "river", "pond", "harbor", "harbour", "bay"),
    "grass": ("grass", "grassy", "field", "lawn", "meadow", "park", "pasture", "yard", "garden", "green"),
    "road": ("road", "street", "highway", "pavement", "sidewalk", "parking", "city", "runway", "tarmac", "curb"),
    "wall": ("room", "kitchen", "wall", "couch", "sofa", "bed", "table", "floor", "indoors", "chair", "desk",
             "bathroom"),
    "sky": ("sky", "flying", "air", "flies", "clouds", "cloudy"),
}  # fmt: skip

PLACES: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "in a field", "on a green lawn", "in a park"),
    "sky": ("in the sky", "under a blue sky", "in the air"),
    "sand": ("on the beach", "on the sand", "in the desert"),
    "snow": ("in the snow", "on a snowy day", "in winter"),
    "water": ("in the water", "by the lake", "on the sea", "at the river"),
    "road": ("on the road", "on a street", "in the city", "on the pavement"),
    "wall": ("in a room", "in front of a wall", "in the kitchen", "indoors"),
    "night": ("at night", "in the dark", "in the evening"),
}
OPENINGS = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a photograph of {}",
    "there is {}",
    "a close up of {}",
)
ADJECTIVES = ("", "", "", "small ", "big ", "beautiful ", "cute ", "young ", "old ")
JOINTS = (" and ", " next to ", " with ", " beside ")


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(words) + r")s?\b", re.IGNORECASE)


_CLASS_PATTERNS = {name: _pattern(words) for name, words in SYNONYMS.items()}
_SCENE_PATTERNS = {kind: _pattern(words) for kind, words in SCENE_WORDS.items()}


def class_specs(names: tuple[str, ...]) -> tuple[ClassSpec, ...]:
    """Classes as dsfactory's stages take them, with the synonyms that captions use."""
    return tuple(ClassSpec(name=name, synonyms=SYNONYMS[name][1:]) for name in names)


def classes_named(caption: str) -> tuple[str, ...]:
    """The classes that a caption names, in the order of `SYNONYMS`."""
    return tuple(name for name, pattern in _CLASS_PATTERNS.items() if pattern.search(caption))


def background_of(caption: str) -> str | None:
    """The background kind that the caption's words ask for, None where they do not say."""
    return next((kind for kind, pattern in _SCENE_PATTERNS.items() if pattern.search(caption)), None)


def load_captions(path: Path) -> dict[tuple[str, ...], list[str]]:
    """Captions of a gzipped JSON-lines file (field `caption`) by the exact set of 1 to 3 classes that they name."""
    by_classes: dict[tuple[str, ...], list[str]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            caption = json.loads(line)["caption"].strip()
            named = classes_named(caption)
            if 1 <= len(named) <= 3:
                by_classes.setdefault(named, []).append(caption)
    return by_classes


def template_caption(classes: tuple[str, ...], background: str | None, rng: np.random.Generator) -> str:
    """A made caption that names each class once, with a place when a background is given."""
    phrases = []
    for name in classes:
        words = SYNONYMS[name]
        word = name if rng.random() < 0.6 else words[rng.integers(len(words))].replace("geese", "goose")
        word = {"buses": "bus", "puppies": "puppy", "ponies": "pony"}.get(word, word)
        noun = ADJECTIVES[rng.integers(len(ADJECTIVES))] + word
        phrases.append(("an " if noun[0] in "aeiou" else "a ") + noun)
    text = OPENINGS[rng.integers(len(OPENINGS))].format(JOINTS[rng.integers(len(JOINTS))].join(phrases))
    if background is not None:
        places = PLACES[background]
        text += " " + places[rng.integers(len(places))]
    return text


def draw_caption(
    classes: tuple[str, ...], captions: dict[tuple[str, ...], list[str]], rng: np.random.Generator
) -> tuple[str, str]:
    """A caption for a scene of these classes and the background it goes with.

    Half of the captions are real ones; the rest, and sets of classes that no real caption names, are templates. Where a
    caption does not say the place, the background is any.

    Returns:
        The caption and a key of `scenes.BACKGROUNDS`.
    """
    kinds = tuple(PLACES)
    real = captions.get(tuple(name for name in SYNONYMS if name in classes), [])
    if real and rng.random() < 0.5:
        caption = real[rng.integers(len(real))]
        return caption, background_of(caption) or kinds[rng.integers(len(kinds))]
    background = kinds[rng.integers(len(kinds))]
    return template_caption(classes, background if rng.random() < 0.75 else None, rng), background
