"""Settings of the generate stage."""

from typing import Literal

from pydantic import Field, JsonValue

from dsfactory.core.config import Section

_NO_EFFECT: dict[str, JsonValue] = {"affects_output": False}

SchedulerName = Literal["dpm++", "ddim", "euler", "euler-ancestral", "pndm", "lcm"]


class GenerateConfig(Section):
    """What draws the images, and how. None stands for the model's own default."""

    model: str = Field(
        "pocket",
        description="A preset (see `dsfactory models list`), a hub id (owner/name), or a local pipeline folder.",
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit of a hub model; the cached or the newest one by default."
    )
    width: int | None = Field(None, ge=64, le=4096, multiple_of=8, description="Width of the images in pixels.")
    height: int | None = Field(None, ge=64, le=4096, multiple_of=8, description="Height of the images in pixels.")
    steps: int | None = Field(None, ge=1, le=1000, description="Denoising steps per image.")
    guidance: float | None = Field(
        None, ge=0, le=50, description="Classifier-free guidance scale; 1 or less switches guidance off."
    )
    scheduler: SchedulerName | None = Field(None, description="The sampling method.")
    negative_prompt: str | None = Field(None, max_length=1000, description="What guidance steers away from.")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Number format of the model. With auto, that of the images that the run has, so that it holds no "
        "mixture; a new run gets fp32 on a CPU, bf16 or fp16 on a GPU.",
    )
    affinity: bool = Field(
        True,
        description="Read self-attention too, which refine uses by default: to have it later means drawing again. "
        "SD3 and FLUX have it up to 768² pixels.",
    )
    device: str = Field("auto", description="Where to draw: auto, cpu, cuda or cuda:1.", json_schema_extra=_NO_EFFECT)
    batch_size: int = Field(
        8,
        ge=1,
        le=1024,
        description="Images drawn together; halved when memory runs out.",
        json_schema_extra=_NO_EFFECT,
    )
    compile: bool = Field(
        False,
        description="Let torch.compile fuse the blocks between attention layers: minutes at the start, faster after.",
        json_schema_extra=_NO_EFFECT,
    )
    xformers: bool = Field(
        False, description="Use xformers for self-attention (CUDA only).", json_schema_extra=_NO_EFFECT
    )
