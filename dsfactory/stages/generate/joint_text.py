"""What transformers with joint attention draw, and which positions of their text sequence name the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.transformers.transformer_z_image import SEQ_MULTI_OF
from torch import Tensor

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.generate.positions import as_read, sequence_tokens
from dsfactory.stages.generate.query import ClassQuery
from dsfactory.stages.generate.recipes import MEAN, Recipe
from dsfactory.stages.generate.recipes.concepts import BACKGROUNDS
from dsfactory.stages.generate.recipes.content import content_spans, with_content
from dsfactory.stages.generate.text import TextState, TextStates, family_of
from dsfactory.stages.generate.tokens import FindMentions, token_weights


def joint_query(
    pipeline: Any,
    texts: TextStates,
    captions: Sequence[tuple[str, Sequence[ClassSpec]]],
    find_mentions: FindMentions,
    recipe: Recipe = MEAN,
) -> tuple[list[TextState], ClassQuery, list[tuple[str, ...]]]:
    """What to draw and which text positions to follow.

    A class that the caption does not name within the text that is read is put in front of it: joint attention has no
    class-prompt keys.

    Args:
        pipeline: of a family with joint attention.
        texts: encodes its prompts.
        captions: caption and classes of each image.
        find_mentions: where a text names each class.
        recipe: with ``content`` or ``concepts``; these need no class in the prompt.

    Returns:
        The states to draw with, the query for the attention capture, and per image and class ``"caption"``,
        ``"added"`` or ``"concept"``.
    """
    prompts, found, sources = [], [], []
    for caption, classes in captions:
        tokens = sequence_tokens(pipeline, caption, find_mentions(caption, classes))
        missing = [item.name for item, indices in zip(classes, tokens, strict=True) if not indices]
        sources.append(tuple("concept" if recipe.concepts else "caption" if has else "added" for has in tokens))
        if missing and not recipe.concepts:
            # In front, so that no limit cuts it off.
            caption = f"{', '.join(missing)}, {caption}"
            tokens = sequence_tokens(pipeline, caption, find_mentions(caption, classes))
        prompts.append(caption)
        found.append(tokens)
    states = texts.encode(prompts)
    lengths = torch.tensor([len(state.tokens) for state in states])
    if family_of(pipeline).name == "zimage":
        # Filled up to a multiple with a token that has learnt to be attended to.
        lengths = (lengths + SEQ_MULTI_OF - 1) // SEQ_MULTI_OF * SEQ_MULTI_OF
    longest = int(lengths.max())
    device = pipeline._execution_device
    mask = torch.arange(longest) < lengths[:, None]
    weights = token_weights(found, (longest, max(len(classes) for _, classes in captions)))
    if recipe.content:
        weights = with_content(weights, [sequence_tokens(pipeline, text, content_spans(text)) for text in prompts])
    concepts, asked = None, None
    if recipe.concepts:
        concepts, asked = concept_states(pipeline, texts, [classes for _, classes in captions])
        concepts, asked = concepts.to(device), asked.to(device)
    query = ClassQuery(
        classes=tuple(len(classes) for _, classes in captions),
        weights=weights.to(device),
        content=recipe.content,
        states=concepts,
        state_mask=asked,
        mask=None if mask.all() else mask.to(device),
    )
    return states, query, sources


def concept_states(pipeline: Any, texts: TextStates, classes: Sequence[Sequence[ClassSpec]]) -> tuple[Tensor, Tensor]:
    """Each image's classes, then the backgrounds, each encoded alone; see :mod:`.recipes.concepts`.

    Returns:
        The mean over each word's tokens, ``(images, concepts, features)``, filled up behind the classes; and bool
        ``(images, concepts)``: those that do not fill up.
    """
    words = [[item.word for item in image] for image in classes]
    longest = max(map(len, words))
    distinct = list(dict.fromkeys([*(word for image in words for word in image), *BACKGROUNDS]))
    encoded = [texts.encode([word])[0].tokens for word in distinct]
    tokens = [sequence_tokens(pipeline, as_read(pipeline, word), [[(0, len(word))]])[0] for word in distinct]
    state = {word: states[places].mean(0) for word, states, places in zip(distinct, encoded, tokens, strict=True)}
    filled = [[*image, *[BACKGROUNDS[0]] * (longest - len(image)), *BACKGROUNDS] for image in words]
    places = torch.arange(longest + len(BACKGROUNDS))
    asked = torch.stack([(places < len(image)) | (places >= longest) for image in words])
    return torch.stack([torch.stack([state[word] for word in image]) for image in filled]), asked
