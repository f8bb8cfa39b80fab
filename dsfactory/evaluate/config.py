"""Settings of an evaluation."""

from pydantic import Field

from dsfactory.core.section import Section
from dsfactory.segment.config import SegmentConfig


class EvaluateConfig(Section):
    """How the worth of a dataset is measured."""

    segment: SegmentConfig = Field(default_factory=SegmentConfig, description="The network, and how it is trained.")
    repeats: int = Field(1, ge=1, le=100, description="Trainings per training set, each with a seed of its own.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of weights, order and augmentation.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 …", json_schema_extra={"affects_output": False})
