"""What transformers with joint attention draw, and which positions of their text sequence name the classes."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.transformers.transformer_z_image import SEQ_MULTI_OF

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.generate.attention import ClassQuery
from dsfactory.stages.generate.positions import sequence_tokens
from dsfactory.stages.generate.text import TextState, TextStates, family_of
from dsfactory.stages.generate.tokens import FindMentions, token_weights


def joint_query(
    pipeline: Any,
    texts: TextStates,
    captions: Sequence[tuple[str, Sequence[ClassSpec]]],
    find_mentions: FindMentions,
) -> tuple[list[TextState], ClassQuery, list[tuple[str, ...]]]:
    """What to draw and which text positions to follow.

    A class that the caption does not name within the text that is read is put in front of it: joint attention has no
    class-prompt keys.

    Args:
        pipeline: of a family with joint attention.
        texts: encodes its prompts.
        captions: caption and classes of each image.
        find_mentions: where a text names each class.

    Returns:
        The states to draw with, the query for the attention capture, and per image and class ``"caption"`` or
        ``"added"``.
    """
    prompts, found, sources = [], [], []
    for caption, classes in captions:
        tokens = sequence_tokens(pipeline, caption, find_mentions(caption, classes))
        missing = [item.name for item, indices in zip(classes, tokens, strict=True) if not indices]
        sources.append(tuple("caption" if indices else "added" for indices in tokens))
        if missing:
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
    query = ClassQuery(
        classes=tuple(len(classes) for _, classes in captions),
        weights=token_weights(found, (longest, max(len(classes) for _, classes in captions))).to(device),
        mask=None if mask.all() else mask.to(device),
    )
    return states, query, sources
