"""Where the text sequence that a network reads names the classes, for each family's tokenizer.

Some families wrap the prompt: Qwen's chat template, Qwen-Image's and SANA's instructions. Mentions are found in the
prompt, moved to where the wrapping puts it, and mapped to tokens by the tokenizer's offsets.
"""

from collections.abc import Sequence
from typing import Any

from dsfactory.models.families import text_tokens
from dsfactory.stages.generate.text import family_of, instruction
from dsfactory.stages.generate.tokens import Spans, class_tokens


def as_read(pipeline: Any, text: str) -> str:
    """A prompt as its tokenizer is given it: PixArt-Σ's and SANA's are given small letters."""
    return text.lower().strip() if family_of(pipeline).name in ("pixart", "sana") else text


def sequence_tokens(pipeline: Any, text: str, mentions: Sequence[Spans]) -> list[list[int]]:
    """Per class, its positions in the text sequence that the network reads.

    Args:
        pipeline: of any family.
        text: the prompt, of :func:`as_read`.
        mentions: per class, where that names it.

    Returns:
        As :func:`.tokens.class_tokens`. The sequence of Stable Diffusion 3 is CLIP's, then T5's.
    """
    family = family_of(pipeline).name
    if family in ("sd", "sdxl"):
        return class_tokens(pipeline.tokenizer, text, mentions)
    length = text_tokens(family, pipeline.transformer.config)
    if family == "sd3":
        clip = class_tokens(pipeline.tokenizer, text, mentions)
        if pipeline.text_encoder_3 is None:
            return clip
        t5 = class_tokens(pipeline.tokenizer_3, text, mentions, length)
        offset = pipeline.tokenizer.model_max_length
        return [first + [offset + index for index in second] for first, second in zip(clip, t5, strict=True)]
    if family == "flux":
        return class_tokens(pipeline.tokenizer_2, text, mentions, length)
    if family == "pixart":
        return class_tokens(pipeline.tokenizer, text, mentions, length)
    before, after, dropped = "", "", 0
    if family == "sana":
        before = "\n".join(instruction(pipeline))
        dropped = len(pipeline.tokenizer.encode(before)) - 2  # its first and its last token stay
    elif family == "qwen":
        before, after = pipeline.prompt_template_encode.split("{}")
        dropped = pipeline.prompt_template_encode_start_idx
    else:
        before, after = _chat(pipeline.tokenizer, thinking=family == "zimage")
    moved = [[(start + len(before), stop + len(before)) for start, stop in spans] for spans in mentions]
    # FLUX.2 reads what pads a prompt too, and a tokenizer may put it in front.
    found = class_tokens(pipeline.tokenizer, before + text + after, moved, length + dropped, padded=family == "flux2")
    return [[index - dropped for index in tokens] for tokens in found]


def _chat(tokenizer: Any, thinking: bool) -> tuple[str, str]:
    """What a chat template puts before and after a prompt."""
    mark = "\N{REPLACEMENT CHARACTER}"
    before, _, after = tokenizer.apply_chat_template(
        [{"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    ).partition(mark)
    return before, after
