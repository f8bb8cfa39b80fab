"""Settings of the segmentation network."""

from pydantic import Field

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section

BUNDLED = "efficientnet-lite0"
"""Name of the checkpoint that comes with dsfactory, see :mod:`dsfactory.segment.lite`."""


class SegmentConfig(Section):
    """Which segmentation network is trained, and how."""

    checkpoint: str | None = Field(
        None,
        description="What the network starts from: efficientnet-lite0, which comes with dsfactory and knows ImageNet, "
        "or a semantic-segmentation checkpoint of transformers (folder or hub id, safetensors). null: a small network "
        "from scratch.",
        json_schema_extra=flag(
            Panel.LABELS,
            "--segmenter",
            help="What the network starts from: efficientnet-lite0, which comes with dsfactory and knows ImageNet, or "
            "a segmentation checkpoint of transformers, folder or hub id.",
            default="a small network from scratch",
            offers=(BUNDLED,),
        ),
    )
    steps: int = Field(1000, ge=1, le=1_000_000, description="Updates of the weights, for any number of images.")
    batch_size: int = Field(8, ge=2, le=4096, description="Images per update. Batch normalisation needs two.")
    learning_rate: float | None = Field(
        None,
        gt=0.0,
        description="Peak learning rate of AdamW. null: 0.002 from scratch, 0.001 for efficientnet-lite0, 0.00006 "
        "from another checkpoint.",
    )
    side: int = Field(
        128, ge=32, le=4096, description="Side of the square crops in training, longer side in testing, in pixels."
    )

    @property
    def peak_rate(self) -> float:
        """The peak learning rate that applies."""
        if self.learning_rate is not None:
            return self.learning_rate
        return {None: 2e-3, BUNDLED: 1e-3}.get(self.checkpoint, 6e-5)
