"""Settings of the generate stage."""

from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, ValidationInfo, field_validator, model_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section
from dsfactory.models.adapters import split_embedding, split_lora
from dsfactory.models.presets import PRESETS
from dsfactory.stages.generate.layouts.config import LayoutConfig
from dsfactory.stages.generate.recipes import PARTS, Recipe

_NO_EFFECT: dict[str, JsonValue] = {"affects_output": False}

_MODEL = "the model's"

SchedulerName = Literal["dpm++", "ddim", "euler", "euler-ancestral", "pndm", "unipc", "lcm"]


Texts = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value or ())]


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
    lora: Texts = Field(
        (),
        description="LoRAs, each FILE, hub id or FILE:WEIGHT, merged into the model: safetensors of diffusers, PEFT or "
        "kohya. The words that a file says it needs are put behind every prompt.",
        json_schema_extra=flag(
            Panel.LOOK,
            metavar="FILE|ID[:WEIGHT]",
            help="A LoRA (.safetensors) that changes the model, by this weight (may be repeated).",
            repeated=True,
        ),
    )
    embedding: Texts = Field(
        (),
        description="Textual inversions, each FILE:TOKEN: the word that the file teaches. Name it as a class or in "
        "style. Stable Diffusion 1, 2 and XL.",
        json_schema_extra=flag(
            Panel.LOOK,
            metavar="FILE:TOKEN",
            help="A textual inversion (.safetensors) and its word, for classes or --style (may be repeated).",
            repeated=True,
        ),
    )
    layouts: str | None = Field(
        None,
        description="Where objects are to be: a folder of masks (COCO, VOC or PNG), a run, whose objects are arranged "
        "anew, or random. null: wherever the model puts them.",
        json_schema_extra=flag(
            Panel.WHAT,
            metavar="PATH",
            help="Where objects are to be: a folder of masks (COCO, VOC, PNG), a run, or random.",
            offers=("random",),
            path=True,
        )
        | {"before": None},
    )
    control: Literal["dense", "hard", "controlnet"] = Field(
        "dense",
        description="How images follow layouts. dense: class words are masked outside of their objects, and "
        "self-attention is lifted within them. hard: masked only. controlnet: control_model shows the way.",
        json_schema_extra=flag(Panel.LOOK, help="How images follow layouts: dense, hard (weaker), or controlnet.")
        | {"before": "dense"},
    )
    control_model: str | None = Field(
        None,
        description="A ControlNet for layouts in colours: a folder or a hub id, of the same base as the model.",
        json_schema_extra=flag(Panel.LOOK, metavar="MODEL", help="The ControlNet: a folder or a hub id.", path=True)
        | {"before": None},
    )
    layout_seeds: int = Field(
        1,
        ge=1,
        le=1000,
        description="Images of each layout, one seed each.",
        json_schema_extra=flag(Panel.WHAT) | {"before": 1},
    )
    layout: LayoutConfig = Field(LayoutConfig(), description="How strongly images follow layouts.")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Number format of the model. auto: the format that the run has. A new run gets fp32 on a CPU, bf16 "
        "or fp16 on a GPU.",
    )
    affinity: bool = Field(
        True,
        description="Keep self-attention too, which refine uses by default. To have it later, all images have to be "
        "generated again. Models with joint attention (SD3, FLUX …) have it up to 768² pixels.",
    )
    recipe: str = Field(
        "mean",
        description="How attention is read and averaged: mean, or parts joined by '+': "
        + "; ".join(f"{name} ({what})" for name, what in PARTS.items())
        + ".",
        json_schema_extra={"before": "mean"},
    )
    device: str = Field(
        "auto",
        description="Where the model runs: auto, cpu, cuda or cuda:1; mps and xpu are untested.",
        json_schema_extra=flag(
            Panel.WHERE,
            help="Where the model runs: auto, cpu, cuda or cuda:1.",
            offers=("auto", "cpu", "cuda", "mps", "xpu"),
            affects_output=False,
        ),
    )
    batch_size: int = Field(
        8,
        ge=1,
        le=1024,
        description="Images generated together. Halved when memory runs out.",
        json_schema_extra=flag(Panel.WHERE, affects_output=False),
    )
    offload: Literal["none", "model", "sequential", "auto"] = Field(
        "auto",
        description="What waits in the machine's memory until the GPU needs it. none: nothing. model: all networks but "
        "the one at work. sequential: all layers but the one at work, which is slow. auto: as much as has to.",
        json_schema_extra=flag(
            Panel.WHERE,
            help="What waits in the machine's memory until the GPU needs it: nothing, all networks but one, or all "
            "layers but one (slow).",
            affects_output=False,
        ),
    )
    vae_tiling: bool = Field(
        False,
        description="Decode images larger than 512 or 1024 pixels in tiles that overlap, which needs less memory.",
        json_schema_extra={"before": False},
    )
    clip_skip: int | None = Field(
        None,
        ge=1,
        le=11,
        description="How many of CLIP's last layers the text is not sent through (Stable Diffusion 1, 2, XL and 3).",
        json_schema_extra={"before": None},
    )
    vae: str | None = Field(
        None,
        description="Folder or hub id of an autoencoder to use in place of the model's own. null: the model's own.",
        json_schema_extra={"before": None},
    )
    compile: bool = Field(
        False,
        description="Compile the blocks between attention layers with torch.compile: slow to start, faster after.",
        json_schema_extra=_NO_EFFECT,
    )
    xformers: bool = Field(
        False, description="Use xformers for self-attention (CUDA only).", json_schema_extra=_NO_EFFECT
    )

    @field_validator("recipe")
    @classmethod
    def _check_recipe(cls, text: str) -> str:
        Recipe.parse(text)
        return text

    @field_validator("lora", "embedding")
    @classmethod
    def _check_adapters(cls, texts: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in texts:
            (split_lora if info.field_name == "lora" else split_embedding)(text)
        return texts

    @model_validator(mode="after")
    def _check_layouts(self) -> Self:
        used = self.control, self.layout_seeds, self.layout, self.control_model
        if self.layouts is None and used != ("dense", 1, LayoutConfig(), None):
            raise ValueError("control, layout_seeds and layout say how layouts are used: name some with --layouts")
        if (self.control == "controlnet") != (self.control_model is not None):
            raise ValueError("--control controlnet and --control-model go together: give both, or none of them")
        return self

    def identity(self) -> dict[str, Any]:
        """As every section; layouts count by what they hold, which the prompts stage says, and by what is done."""
        found = super().identity()
        for name in ("layouts", "control", "control_model", "layout_seeds", "layout"):
            found.pop(name, None)
        if self.layouts is not None:
            trained = self.control == "controlnet"
            strengths = {"scale": self.layout.scale} if trained else asdict(self.layout.strengths)
            found["layout"] = {"control": self.control, **strengths}
        return found
