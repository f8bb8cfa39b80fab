"""Settings of the annotate stage: which images, and how their noisy versions are read."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section

MAX_TIMESTEP = 999
"""Stable Diffusion is trained on 1000 steps of noise, 0 the least."""


class AnnotateConfig(Section):
    """How given images are labelled. The model and the size it works at are settings of ``generate``."""

    also: ClassVar[tuple[str, ...]] = ("generate.model", "generate.device")

    images: str | None = Field(
        None,
        description="A folder of images, or one image. They are only read.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="A folder of images (its sub-folders too), or one image.",
            file=True,
            argument=True,
            affects_output=False,
        ),
    )
    image_classes: str | None = Field(
        None,
        description="A CSV or JSON file that says which classes each image shows. The model decides about the rest.",
        json_schema_extra=flag(
            Panel.LABELS,
            help="Which classes images show: a CSV with the columns file and classes (a.jpg,dog;bird), or a JSON file "
            '({"a.jpg": ["dog"]}). The model decides about the rest.',
            file=True,
            affects_output=False,
        ),
    )
    timesteps: tuple[Annotated[int, Field(ge=0, le=MAX_TIMESTEP)], ...] = Field(
        (100, 200, 300, 400),
        min_length=1,
        description="How much noise is added, in steps from 0 to 999. Each is one pass.",
        json_schema_extra=flag(Panel.LABELS),
    )
    seeds: int = Field(
        3, ge=1, le=64, description="Samples of noise per timestep. Their results are averaged.",
        json_schema_extra=flag(Panel.LABELS),
    )  # fmt: skip
    prompt: str = Field(
        "a photo of {classes}", max_length=300, description="What the model is told. {classes} is 'a dog and a bird'."
    )
    plain_prompt: str = Field(
        "a photo", max_length=300, description="What it is told of an image that shows none of the classes."
    )
    min_presence: float | None = Field(
        0.6,
        ge=0,
        le=1,
        description="A class is in an image when the model is at least this sure of it, against all that it may be "
        "instead. null: every class is in every image.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="SHARE|off",
            help="A class is in an image when the model is at least this sure of it, against all that it may be "
            "instead. off: every class is in every image.",
            off={"min_presence": None},
        ),
    )

    max_distance: float | None = Field(
        1.0,
        gt=0,
        description="How far a picture may lie from what a small model draws; 1 is where pictures of styles that it "
        "never saw end. Further ones are rejected as foreign. null: none is. Models that know the world reject none.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="DISTANCE|off",
            help="How far a picture may lie from what a small model draws before it is rejected as foreign. "
            "off: none is.",
            off={"max_distance": None},
        )
        | {"before": 1.0},
    )

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, values: Any) -> Any:
        """Runs of before have ``min_gain``, a share of the error; of it, only "off" means the same now."""
        if not isinstance(values, Mapping) or "min_gain" not in values:
            return values
        kept = {name: value for name, value in values.items() if name != "min_gain"}
        return {"min_presence": None, **kept} if values["min_gain"] is None else kept

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, prompt: str) -> str:
        rest = prompt.replace("{classes}", "", 1)
        if rest == prompt or "{" in rest or "}" in rest:
            raise ValueError(f"annotate.prompt {prompt!r} must hold {{classes}} once, and no other braces")
        return prompt
