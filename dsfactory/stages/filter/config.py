"""Settings of the filter stage."""

from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section
from dsfactory.segment.config import SegmentConfig

Share = Annotated[float, Field(ge=0.0, le=1.0)]

FLIP = "flip"
"""The witness that is no promptable segmenter: what the model's own attention makes of the mirror image."""


_NOBODY: dict[str, Any] = {"before": ()}


def _check_keep(value: Any) -> Any:
    """Read a number that is given as text, and say in one line what ``keep`` may be."""
    with suppress(TypeError, ValueError):
        share = float(value)
        if 0 < share <= 1:
            return share
    if value != "auto":
        raise ValueError(f"keep {value!r}: give 'auto' or a share above 0 and up to 1, such as 0.3")
    return value


class FilterConfig(Section):
    """Which samples are kept, and which of their pixels."""

    folds: int = Field(
        3,
        ge=2,
        le=20,
        description="Parts of the run. Each is judged by a network that was trained on the others.",
        json_schema_extra=flag(Panel.LABELS),
    )
    real: str | None = Field(
        None,
        description="A real, labelled set in the layout of PASCAL VOC that judges in place of the folds: a network "
        "learns from its train list, and losses on its val list say what is usual.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="DIR",
            help="Real, labelled images (VOC layout) that judge in place of the folds: they see errors that all share.",
            file=True,
        )
        | {"before": None},
    )
    segment: SegmentConfig = Field(
        default_factory=lambda: SegmentConfig(steps=800, batch_size=8),
        description="The network that judges, and its training in each fold.",
    )
    device: str = Field(
        "auto",
        description="Where the networks train: auto, cpu, cuda or cuda:1.",
        json_schema_extra=flag(Panel.WHERE, offers=("auto", "cpu", "cuda"), affects_output=False),
    )
    keep: Annotated[Literal["auto"] | float, BeforeValidator(_check_keep)] = Field(
        "auto",
        description="Share of each class that is kept, best agreement first (DiffuMask keeps 0.3). auto drops samples "
        "that are much worse than their class: a clean run loses little, a noisy one much.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="auto|SHARE",
            help="auto: drop samples that are much worse than their class. Or the share of each class that is kept, "
            "best first, such as 0.3.",
            offers=("auto",),
        ),
    )
    min_agreement: Share = Field(
        0.6,
        description="With keep auto: the least agreement of a label with the network's, as a share of the class's "
        "median.",
    )
    min_quality: Share = Field(
        0.35, description="With keep auto: the least label quality by cleanlab, as a share of the class's median."
    )
    min_area: Share = Field(0.01, description="Smallest share of the image that a sample's first class may cover.")
    max_area: Share = Field(0.9, description="Largest share of the image that labelled objects may cover.")
    duplicate_distance: Share = Field(
        0.1,
        description="Images are near-duplicates when no larger share of the bits of their perceptual hashes differs.",
    )
    min_evidence: Share = Field(
        0.25,
        description="How sure the network must be that the class is in the image, as a share of the class's median.",
    )
    clip: str | None = Field(
        None,
        description="A CLIP checkpoint of transformers (folder or hub id, safetensors) that compares the image with "
        "the class name. null leaves it out.",
        json_schema_extra=flag(
            Panel.LABELS, help="A CLIP checkpoint (folder or hub id) that compares the image with the class name too."
        ),
    )
    min_similarity: Share = Field(
        0.1, description="The least probability that CLIP may give a class of the image, among the run's classes."
    )
    witness: Annotated[
        tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value or ())
    ] = Field(
        (),
        description="Witnesses that are heard beside the networks, each in a column agree_NAME: flip (the model's own "
        "attention to the mirror image, which needs a Stable Diffusion 1, 2 or XL model and a look at each image), and "
        "a promptable segmenter (SAM, SAM 2, SAM 3): a folder or a hub id.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="flip|MODEL",
            help="Hear a second witness too: flip (the model's own look at the mirror image), or a SAM, SAM 2 or SAM 3 "
            "model (may be repeated).",
            offers=(FLIP,),
            repeated=True,
        )
        | _NOBODY,
    )
    min_witness: Share = Field(
        0.6,
        description="The least agreement (IoU) of a class's label with a witness's, as a share of the class's median.",
        json_schema_extra={"before": 0.6},
    )
    beta: Share = Field(
        0.5,
        description="An object is easy when a network that never saw it agrees with its label by more than this (IoU).",
        json_schema_extra={"before": 0.5},
    )
    pixel_loss: float = Field(
        1.25,
        ge=0.0,
        description="Pixels whose loss is more than this many times the mean of their class become ignore (255), "
        "except on outlines. 0: none.",
    )

    avoid: str | None = Field(
        None,
        description="A folder of images, such as those of a test set, that no sample may be a copy of: mirrored, cut "
        "(to 70 % or more), recoloured, compressed and scaled ones are found too. null: none.",
        json_schema_extra=flag(
            Panel.LABELS,
            metavar="DIR",
            help="A folder of images, such as a test set, that none may be a copy of: mirrored, cut, recoloured, "
            "compressed and scaled ones are found too.",
            file=True,
        )
        | {"before": None},
    )
    pictures: str | None = Field(
        None,
        description="A PNG to write, with the samples that are dropped (at most 48), worst first.",
        json_schema_extra=flag(Panel.OUTPUT, metavar="FILE", file=True, affects_output=False, saved=False),
    )

    @field_validator("witness")
    @classmethod
    def _check_witnesses(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len({*names} - {FLIP}) > 1 or len({*names}) < len(names):
            raise ValueError(f"filter.witness {', '.join(names)}: give {FLIP}, one segmenter, or one of each")
        return names

    @model_validator(mode="after")
    def _check_areas(self) -> "FilterConfig":
        if self.min_area >= self.max_area:
            raise ValueError(f"filter.min_area {self.min_area} is not below max_area {self.max_area}")
        return self
