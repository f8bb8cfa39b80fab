"""The witnesses that a filter can be told of: the model's look at the mirror image, and a promptable segmenter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.config import RunSettings
from dsfactory.core.run import Run
from dsfactory.core.seeds import derive_seed
from dsfactory.dataset.witness import Labels, Said, Witness, of_classes
from dsfactory.errors import UserError
from dsfactory.segment.promptable import Promptable, locate_promptable
from dsfactory.stages.annotate.looking import annotator_of, can_look
from dsfactory.stages.filter.config import FLIP
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.snap import prompted

if TYPE_CHECKING:
    from dsfactory.stages.annotate.annotator import Annotator


class Mirrored:
    """Flip consistency: what the model's own attention makes of the mirror image, turned back.

    Args:
        annotator: the model.
        classes: of the run; the first has id 1.
        config: how maps become masks.
        seed: of the run.
    """

    def __init__(self, annotator: "Annotator", classes: Sequence[ClassSpec], config: RefineConfig, seed: int) -> None:
        self._annotator, self._classes, self._seed = annotator, classes, seed
        # A network that learnt from the run's own images has seen this one.
        self._config = config.model_copy(
            update={"snap": None, **({"affinity": "self"} if config.affinity == "net" else {})}
        )

    def __call__(
        self, image: NDArray[np.uint8], labels: Labels, instances: Labels, class_ids: Sequence[int]
    ) -> list[Said]:
        """See :data:`dsfactory.dataset.witness.Witness`."""
        from dsfactory.stages.refine.mask import refine_mask

        mirror = np.ascontiguousarray(image[:, ::-1])
        noisy = self._annotator.noisy(mirror, derive_seed(self._seed, "mirror"))
        maps = self._annotator.evidence(noisy, [self._classes[number - 1] for number in class_ids])
        found = refine_mask(mirror, maps.cross, maps.affinity, class_ids, self._config).labels[:, ::-1]
        return of_classes(labels, instances, found, 1.0)


def check_witnesses(names: Sequence[str], settings: RunSettings, run: Run) -> None:
    """Refuse witnesses that cannot be heard. Loads no model.

    Raises:
        UserError: a model is none, or the run's own cannot look at an image.
    """
    for name in names:
        if name != FLIP:
            locate_promptable(name)
        elif not can_look(settings, run):
            raise UserError(
                "--witness flip looks at images with the run's own model, which has to be a Stable Diffusion 1, 2 or "
                "XL: leave it out"
            )


def open_witnesses(names: Sequence[str], settings: RunSettings, run: Run, device: torch.device) -> dict[str, Witness]:
    """The witnesses by the end of their column's name (``agree_NAME``).

    Args:
        names: as ``filter.witness`` has them.
        settings: of the run.
        run: with finished images and labels.
        device: where a promptable segmenter works.

    Raises:
        UserError: a model cannot be loaded.
    """
    found: dict[str, Witness] = {}
    for name in names:
        if name == FLIP:
            annotator = annotator_of(settings, run)
            found[FLIP] = Mirrored(annotator, run.manifest.classes, settings.of(RefineConfig), run.manifest.seed)
        else:
            found["segmenter"] = prompted(Promptable(locate_promptable(name), device).masks)
    return found
