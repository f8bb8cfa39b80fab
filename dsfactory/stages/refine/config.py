"""Settings of the refine stage."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section

RecipeName = Literal["auto", "family", "mean", "levels"]
InstanceRule = Literal["auto", "components", "counted", "shape", "edges"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]

EQUAL_WEIGHTS = {16: 1.0, 32: 1.0, 64: 1.0}
_UNSETTLED = (("recipe", "auto"), ("instances", "auto"))


class RefineConfig(Section):
    """How attention maps become a mask. Widths and areas are those of a 512² image and scale with the image."""

    threshold: Literal["auto"] | Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        "auto",
        description="Where the fused map becomes foreground. auto: chosen per image and class. Or one value for all.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="auto|NUMBER",
            help="Where attention becomes foreground. auto: chosen per image and class. Or a number from 0 to 1.",
            offers=("auto",),
        ),
    )
    threshold_low: Fraction = Field(0.35, description="The lowest threshold that auto tries.")
    threshold_high: Fraction = Field(0.54, description="The highest threshold that auto tries.")
    recipe: RecipeName = Field(
        "auto",
        description="What attention's resolutions weigh. family: for Stable Diffusion 1 and 2 what is published for "
        "them (levels), else resolution_weights (mean). auto: family, or what the run was begun with.",
        json_schema_extra={"before": "mean"},
    )
    resolution_weights: dict[int, Annotated[float, Field(ge=0.0)]] = Field(
        EQUAL_WEIGHTS,
        description="Weight of each attention resolution, by the side of its grid. Others are left out. Other weights "
        "than the default ones go before recipe.",
    )
    affinity: Literal["net", "self", "none"] = Field(
        "self",
        description="What thresholds are judged by: a network trained on the run itself (net), the model's "
        "self-attention where it was kept (self), or the fused map alone (none).",
        json_schema_extra=flag(
            Panel.LABELS,
            help="What thresholds are judged by: a network trained on this run (net), the model's self-attention "
            "(self), or nothing else (none).",
        ),
    )
    affinity_weight: Fraction = Field(
        0.25, description="Share of self-attention in the fused map, where it was kept and affinity is not none."
    )
    affinity_samples: int = Field(
        256, ge=1, le=10_000, description="The affinity network learns from this many samples, the run's first."
    )
    affinity_steps: int = Field(300, ge=1, le=100_000, description="Training steps of the affinity network.")
    walk_beta: float = Field(
        16.0, gt=0.0, description="Power of the network's affinities in the random walk. A larger one spreads less."
    )
    walk_steps: int = Field(64, ge=1, le=4096, description="Steps of the random walk over the network's affinities.")
    sharpness: float = Field(
        12.0, gt=0.0, description="Log odds that the CRF starts from, per unit of the fused map above the threshold."
    )
    crf_iterations: int = Field(10, ge=0, le=100, description="Mean-field updates of the dense CRF. 0 leaves it out.")
    crf_backend: Literal["lattice", "pydensecrf", "torch"] = Field(
        "lattice",
        description="What computes the CRF: this package (NumPy), pydensecrf (C++), or torch, for GPUs. They agree.",
        json_schema_extra=flag(
            Panel.LABELS,
            "--crf",
            help="What computes the dense CRF: this package, pydensecrf, or torch on refine.device. off: no CRF.",
            off={"crf_iterations": 0},
        ),
    )
    device: str = Field(
        "auto",
        description="Where torch computes the CRF, and where the model of snap works: auto, cpu, cuda or cuda:1.",
        json_schema_extra={"affects_output": False},
    )
    snap: str | None = Field(
        None,
        description="A promptable segmenter (SAM, SAM 2, SAM 3) that is asked where each object ends: a folder or a "
        "hub id. Its outline is taken where both agree, and where they differ in part, pixels become ignore.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="MODEL",
            help="A SAM, SAM 2 or SAM 3 model that says where each object ends: a folder or a hub id.",
            path=True,
        )
        | {"before": None},
    )
    gaussian_sxy: float = Field(3.0, gt=0.0, description="Width of the smoothness kernel.")
    gaussian_compat: float = Field(3.0, ge=0.0, description="Weight of the smoothness kernel.")
    bilateral_sxy: float = Field(80.0, gt=0.0, description="Spatial width of the appearance kernel.")
    bilateral_srgb: float = Field(13.0, gt=0.0, description="Colour width of the appearance kernel, in grey levels.")
    bilateral_compat: float = Field(10.0, ge=0.0, description="Weight of the appearance kernel.")
    crf_min_iou: Fraction = Field(
        0.3, description="A class keeps its mask from before the CRF when the two agree less than this (IoU)."
    )
    certainty: Fraction = Field(
        0.95, description="Pixels whose label the CRF holds for less probable than this become ignore (255)."
    )
    min_contrast: Fraction = Field(
        0.25,
        description="A class has no mask when its map nowhere falls by more than this share below its highest value: "
        "attention says nothing then. 0 keeps all.",
    )
    min_claim: Fraction = Field(
        0.45,
        description="In an image of several classes, one is left out when its mask agrees less than this (IoU) with "
        "the mask of its map alone: the model probably did not show it. 0 keeps all.",
    )
    max_halo: float = Field(
        0.75,
        ge=0.0,
        description="In an image of several classes, parts around another class are a halo when their own class's map "
        "gives at least this share of its attention to what they surround. Such a class is left out, and so is one "
        "whose map has no peak. 0 keeps all.",
    )
    label: Literal["attention", "layout"] = Field(
        "attention",
        description="What the label of an image is that a ControlNet drew to a layout: what attention finds, or the "
        "layout, where the two agree; elsewhere ignore.",
        json_schema_extra=flag(
            Panel.LABELS,
            help="Of images that a ControlNet drew to layouts: label by attention, or by layout where both agree.",
        )
        | {"before": "attention"},
    )
    min_layout_iou: Fraction = Field(
        0.3,
        description="Of an image that was drawn to a layout, a class has no mask when what its attention outlines by "
        "itself agrees less than this (IoU) with the layout: it was not drawn there.",
        json_schema_extra={"before": 0.3},
    )
    instances: InstanceRule = Field(
        "auto",
        description="What parts objects of one class. components: only what does not touch. counted: necks too, where "
        "the prompt asks for more than one ('two dogs'). shape: necks, always. edges: necks, and edges of "
        "self-attention (generate.recipe=edges). auto: counted, or what the run was begun with.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="RULE",
            help="What parts touching objects of a class: nothing (components), their shape where the prompt counts "
            "them (counted), always (shape), or self-attention too (edges).",
        )
        | {"before": "components"},
    )
    require: Literal["any", "all"] = Field(
        "any",
        description="Which of the classes that were asked for must have a mask for the sample to be kept: any of "
        "them, or all.",
        json_schema_extra=flag(
            Panel.LABELS, help="Keep images in which any of the classes asked for has a mask, or only those with all."
        ),
    )
    min_box: float = Field(1500.0, ge=0.0, description="Parts whose bounding box has fewer pixels are dropped.")
    max_hole: float = Field(1500.0, ge=0.0, description="Enclosed background of up to this many pixels is filled.")

    def identity(self) -> dict[str, Any]:
        """As of any section; what a run that is begun settles is no part of it before."""
        return {name: value for name, value in super().identity().items() if (name, value) not in _UNSETTLED}

    @model_validator(mode="after")
    def _check_range(self) -> "RefineConfig":
        if self.threshold_low > self.threshold_high:
            raise ValueError(
                f"refine.threshold_low {self.threshold_low} is above threshold_high {self.threshold_high}: swap them"
            )
        return self
