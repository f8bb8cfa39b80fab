"""Where the text sequences of Stable Diffusion 3 and FLUX name the classes."""

from collections.abc import Sequence
from typing import Any

from dsfactory.core.config import ClassSpec
from dsfactory.models.presets import t5_tokens
from dsfactory.stages.generate.attention import ClassQuery
from dsfactory.stages.generate.text import denoiser, family_of
from dsfactory.stages.generate.tokens import FindMentions, class_tokens, token_weights


def joint_query(
    pipeline: Any, captions: Sequence[tuple[str, Sequence[ClassSpec]]], find_mentions: FindMentions
) -> tuple[list[str], ClassQuery, list[tuple[str, ...]]]:
    """What to draw and which text positions to follow.

    A class that the caption does not name within the text that is read is put in front of it: joint attention has no
    class-prompt keys.

    Args:
        pipeline: a Stable Diffusion 3 or FLUX pipeline.
        captions: caption and classes of each image.
        find_mentions: where a text names each class.

    Returns:
        The prompts to draw with, the query for the attention capture, and per image and class ``"caption"`` or
        ``"added"``.
    """
    prompts, found, sources = [], [], []
    for caption, classes in captions:
        tokens = _positions(pipeline, caption, classes, find_mentions)
        missing = [item.name for item, indices in zip(classes, tokens, strict=True) if not indices]
        sources.append(tuple("caption" if indices else "added" for indices in tokens))
        if missing:
            # In front, so that no limit cuts it off.
            caption = f"{', '.join(missing)}, {caption}"
            tokens = _positions(pipeline, caption, classes, find_mentions)
        prompts.append(caption)
        found.append(tokens)
    shape = (_text_length(pipeline), max(len(classes) for _, classes in captions))
    query = ClassQuery(
        classes=tuple(len(classes) for _, classes in captions),
        weights=token_weights(found, shape).to(denoiser(pipeline).device),
    )
    return prompts, query, sources


def _positions(pipeline: Any, text: str, classes: Sequence[ClassSpec], find_mentions: FindMentions) -> list[list[int]]:
    """Per class, its positions in the joint text sequence: CLIP's tokens, then T5's (SD3); T5's alone (FLUX)."""
    mentions = find_mentions(text, classes)
    if family_of(pipeline) == "flux":
        return class_tokens(pipeline.tokenizer_2, text, mentions, _t5_length(pipeline))
    clip = class_tokens(pipeline.tokenizer, text, mentions)
    if pipeline.text_encoder_3 is None:
        return clip
    offset = pipeline.tokenizer.model_max_length
    t5 = class_tokens(pipeline.tokenizer_3, text, mentions, _t5_length(pipeline))
    return [first + [offset + index for index in second] for first, second in zip(clip, t5, strict=True)]


def _text_length(pipeline: Any) -> int:
    """Positions of the text sequence; SD3 keeps T5's place, filled with zeros, when it has no T5."""
    clip = int(pipeline.tokenizer.model_max_length) if family_of(pipeline) == "sd3" else 0
    return clip + _t5_length(pipeline)


def _t5_length(pipeline: Any) -> int:
    return t5_tokens(family_of(pipeline), pipeline.transformer.config)
