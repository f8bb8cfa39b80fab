"""Which tokens of a prompt name a class: characters found in the text, mapped by the tokenizer's offsets.

A word's place in the sentence says nothing about its token index: names have several words, words several
pieces. The tokenizer reports the characters that each token covers, so a mention maps to exactly its tokens.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dsfactory.core.classes import ClassSpec

Spans: TypeAlias = list[tuple[int, int]]
"""Character ranges ``(start, stop)`` of a text."""

FindMentions: TypeAlias = Callable[[str, Sequence[ClassSpec]], list[Spans]]
"""Where a text names each class: name, synonyms, plurals."""


def class_tokens(
    tokenizer: Any, text: str, mentions: Sequence[Spans], length: int | None = None, padded: bool = False
) -> list[list[int]]:
    """Token indices of every mention of each class in a prompt.

    Args:
        tokenizer: a fast tokenizer of transformers, as pipelines carry it.
        text: the prompt as the text encoder reads it.
        mentions: per class, where the text names it.
        length: how many tokens are read; the tokenizer's own limit by default.
        padded: count what fills the sequence up to the limit, on whichever side the tokenizer has it.

    Returns:
        Per class, sorted indices into the encoded prompt, its start token being 0. Empty when there is no mention, or
        none within the tokens that the text encoder reads; a mention cut in two counts as beyond.
    """
    text, mentions = spelt_out(tokenizer, text, mentions)
    limit = length or tokenizer.model_max_length
    filled = "max_length" if padded else False
    encoded = tokenizer(text, padding=filled, truncation=True, max_length=limit, return_offsets_mapping=True)
    offsets: Spans = encoded["offset_mapping"]
    read = max(stop for _, stop in offsets)
    return [
        sorted(
            {
                index
                for start, stop in spans
                if stop <= read
                for index, (first, last) in enumerate(offsets)
                if first < stop and start < last
            }
        )
        for spans in mentions
    ]


def spelt_out(tokenizer: Any, text: str, mentions: Sequence[Spans]) -> tuple[str, Sequence[Spans]]:
    """A prompt as diffusers writes it for the text encoder: a learnt word of several vectors as all of its tokens.

    ``"a gizmo"`` becomes ``"a gizmo gizmo_1"``, and a mention of the word covers them all.
    """
    added = tokenizer.added_tokens_encoder
    several = [token for token in added if f"{token}_1" in added]
    for token in set(tokenizer.tokenize(text)).intersection(several) if several else ():
        number = 1
        while f"{token}_{number}" in added:
            number += 1
        longer = " ".join([token, *(f"{token}_{place}" for place in range(1, number))])
        places = [match.start() for match in re.finditer(re.escape(token), text)]
        growth = len(longer) - len(token)

        def moved(place: int, starts: Sequence[int] = places, length: int = len(token), by: int = growth) -> int:
            return place + by * sum(start + length <= place for start in starts)

        mentions = [[(moved(start), moved(stop)) for start, stop in spans] for spans in mentions]
        text = text.replace(token, longer)
    return text, mentions


def token_weights(tokens: Sequence[Sequence[Sequence[int]]], shape: tuple[int, int]) -> Tensor:
    """Token indices per image and class as float32 ``(images, *shape)``, each class's weights summing to 1 or 0.

    Args:
        tokens: per image and class, indices into the text sequence.
        shape: length of the text sequence, and the most classes that an image has.
    """
    weights = torch.zeros(len(tokens), *shape)
    for image, classes in enumerate(tokens):
        for position, indices in enumerate(classes):
            weights[image, list(indices), position] = 1 / max(1, len(indices))
    return weights


def class_prompt(names: Sequence[str], wanted: Sequence[bool]) -> tuple[str, list[Spans]]:
    """The text through which classes are queried that the caption does not name.

    It joins the names of all classes (Dataset Diffusion, Nguyen et al. 2023, arXiv 2309.14303, section 3.2), so that
    they compete. Wanted ones come first: however many there are, the text encoder reads those.

    Args:
        names: all classes of the image.
        wanted: per class, whether it is to be queried here.

    Returns:
        The text, and per class where it stands, for the wanted ones only.

    Example:
        >>> class_prompt(["dog", "cat"], [False, True])
        ('cat; dog', [[], [(0, 3)]])
    """
    text = ""
    spans: list[Spans] = [[] for _ in names]
    for position in sorted(range(len(names)), key=lambda position: not wanted[position]):
        text += "; " if text else ""
        if wanted[position]:
            spans[position].append((len(text), len(text) + len(names[position])))
        text += names[position]
    return text, spans
