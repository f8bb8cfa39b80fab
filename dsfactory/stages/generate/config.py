"""Settings of the generate stage."""

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from dsfactory.core.config import Section
from dsfactory.core.flags import Panel, flag
from dsfactory.models.presets import PRESETS

_NO_EFFECT: dict[str, JsonValue] = {"affects_output": False}

_MODEL = "the model's"

SchedulerName = Literal["dpm++", "ddim", "euler", "euler-ancestral", "pndm", "lcm"]


class GenerateConfig(Section):
    """What generates the images, and how. null stands for the model's own default."""

    also: ClassVar[tuple[str, ...]] = ("num",)

    model: str = Field(
        "pocket",
        description="A preset (see `dsfactory models list`), a hub id (owner/name), or a local pipeline folder.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="The model: a preset ('dsfactory models list'), a hub id or a folder.",
            offers=tuple(PRESETS),
        ),
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit of a hub model. null: the cached one, else the newest."
    )
    width: int | None = Field(
        None, ge=64, le=4096, multiple_of=8, description="Width of the images in pixels.",
        json_schema_extra=flag(Panel.LOOK, default=_MODEL),
    )  # fmt: skip
    height: int | None = Field(
        None, ge=64, le=4096, multiple_of=8, description="Height of the images in pixels.",
        json_schema_extra=flag(Panel.LOOK, default=_MODEL),
    )  # fmt: skip
    steps: int | None = Field(
        None, ge=1, le=1000, description="Denoising steps per image.",
        json_schema_extra=flag(Panel.LOOK, default=_MODEL),
    )  # fmt: skip
    guidance: float | None = Field(
        None,
        ge=0,
        le=50,
        description="Classifier-free guidance scale. 1 or less switches guidance off.",
        json_schema_extra=flag(Panel.LOOK, default=_MODEL),
    )
    scheduler: SchedulerName | None = Field(None, description="The sampling method.")
    negative_prompt: str | None = Field(
        None,
        max_length=1000,
        description="What guidance steers away from. An empty text: nothing.",
        json_schema_extra=flag(Panel.LOOK, default=_MODEL),
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Number format of the model. auto: the format that the run has. A new run gets fp32 on a CPU, bf16 "
        "or fp16 on a GPU.",
    )
    affinity: bool = Field(
        True,
        description="Keep self-attention too, which refine uses by default. To have it later, all images have to be "
        "generated again. SD3 and FLUX have it up to 768² pixels.",
    )
    device: str = Field(
        "auto",
        description="Where the model runs: auto, cpu, cuda or cuda:1.",
        json_schema_extra=flag(Panel.WHERE, offers=("auto", "cpu", "cuda"), affects_output=False),
    )
    batch_size: int = Field(
        8,
        ge=1,
        le=1024,
        description="Images generated together. Halved when memory runs out.",
        json_schema_extra=flag(Panel.WHERE, affects_output=False),
    )
    compile: bool = Field(
        False,
        description="Compile the blocks between attention layers with torch.compile: slow to start, faster after.",
        json_schema_extra=_NO_EFFECT,
    )
    xformers: bool = Field(
        False, description="Use xformers for self-attention (CUDA only).", json_schema_extra=_NO_EFFECT
    )
