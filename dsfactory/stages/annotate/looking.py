"""A run's own model as a reader of given pictures: for those that look at an image once more."""

from typing import TYPE_CHECKING

from dsfactory.core.config import RunSettings
from dsfactory.core.run import Run
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.annotate.stage import FAMILIES
from dsfactory.stages.generate.stage import GenerateStage

if TYPE_CHECKING:
    from dsfactory.stages.annotate.annotator import Annotator


def can_look(settings: RunSettings, run: Run) -> bool:
    """Whether the model's attention in a given picture can be read."""
    return GenerateStage.build(settings, run.path).model.layout.family in FAMILIES


def annotator_of(settings: RunSettings, run: Run) -> "Annotator":
    """The run's model, as ``annotate`` looks at a picture.

    Args:
        settings: of the run, whose model can be read (:func:`can_look`).
        run: with finished images.
    """
    from dsfactory.models.loading import load_pipeline
    from dsfactory.stages.annotate.annotator import Annotator

    stage = GenerateStage.build(settings, run.path)
    config, state, looking = stage.resolved, run.stage_state(GenerateStage.folder), settings.of(AnnotateConfig)
    assert config.width and config.height and state is not None
    pipeline = load_pipeline(
        stage.model, config.device, state.identity["dtype"], loras=stage.loras, embeddings=stage.embeddings
    )
    return Annotator(
        pipeline, timesteps=looking.timesteps, seeds=looking.seeds, width=config.width, height=config.height,
        affinity=config.affinity,
    )  # fmt: skip
