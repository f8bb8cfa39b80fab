"""A second look at generated images: are they recognised, and does the model label their mirror images alike?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, MASK
from dsfactory.core.seeds import derive_seed
from dsfactory.models.presets import PRESETS
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop
from dsfactory.stages import STAGES, RunConfig
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.annotate.looking import annotator_of, can_look
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.prompts.vocabulary import class_words, entries
from dsfactory.stages.refine.config import RefineConfig

if TYPE_CHECKING:
    from dsfactory.models.judge import Judge

OTHERS = 3
"""Classes that the model compares an image with, beside those of the trial."""

MADE_UP = tuple(ClassSpec(name=name) for name in ("fendle", "morvit", "zubble"))
"""Words that mean nothing: whatever they explain as well as a class's name does, the model does not know as that class.
A model of any kind finds that the words with which an image was made go with it, known or not."""


@dataclass(frozen=True)
class Look:
    """What a second look at an image found.

    Attributes:
        class_name: what the image was asked to show.
        recognised: somebody takes it for that; None when nobody was asked.
        mirrored: IoU of the label with that of the mirror image; None where the model's attention in a given image
            cannot be read, or there is no label.
    """

    class_name: str
    recognised: bool | None
    mirrored: float | None


def look_again(run: Run, config: RunConfig, judge: "Judge | None", progress: Progress) -> list[Look]:
    """Look at every generated image of a run.

    The model recognises an image as ``annotate`` finds classes in a picture (its ``presence.py``): the class that was
    asked for is likelier than the trial's other classes, some others and :data:`MADE_UP` words.

    Args:
        run: with finished images and masks.
        config: its settings.
        judge: recognises in the model's place; None for the model itself.
        progress: who is told.
    """
    annotator = annotator_of(config, run) if can_look(config, run) else None
    others = _others(config)
    few = [*config.classes, *others[:OTHERS], *MADE_UP]
    witness = _witness(annotator, few) if annotator is not None and judge is None else None
    looks: list[Look] = []
    progress.begin("second look", run.total, 0, "images")
    for row, image, mask in _samples(run):
        check_stop()
        asked = next(item for item in config.classes if item.name == row["class_name"])
        recognised, mirrored = None, None
        seed = derive_seed(config.seed, "trial", row["key"])
        if judge is not None:
            named = [asked, *(item for item in (*config.classes, *others) if item.name != asked.name)]
            recognised = judge.best(image, [f"a photo of {class_words(item).noun}" for item in named]) == 0
        elif witness is not None:
            recognised = _is_recognised(witness, image, few.index(asked), seed)
        if annotator is not None and mask is not None:
            mirrored = _mirrored(annotator, image, mask, asked, config, seed)
        looks.append(Look(asked.name, recognised, mirrored))
        progress.advance("second look")
    return looks


def _others(config: RunConfig) -> list[ClassSpec]:
    """Classes that are none of the trial's, in an order of no meaning: what a small model knows, else common ones."""
    preset = PRESETS.get(config.of(GenerateConfig).model)
    taken = {word for item in config.classes for word in class_words(item).phrases} | {
        item.name for item in config.classes
    }
    names = [name for name in (preset.classes if preset and preset.classes else entries()) if name not in taken]
    return [ClassSpec(name=name) for name in sorted(names, key=lambda name: derive_seed(config.seed, "other", name))]


def _samples(run: Run) -> Any:
    """Row, image and mask (None where there is none) of every image that was made."""
    generated, refined = STAGES["generate"], STAGES["refine"]
    for spec in run.finished(refined.folder):
        images = run.reader(generated.folder, spec).records()
        for image, label in zip(images, run.reader(refined.folder, spec).records(), strict=True):
            if IMAGE in image.files:
                mask = decode_index_png(label.files[MASK]) if label.row["status"] == "ok" else None
                yield image.row, decode_rgb_png(image.files[IMAGE]), mask


def _witness(annotator: Any, classes: Sequence[ClassSpec]) -> Any:
    from dsfactory.stages.annotate import presence

    return presence.Judge(annotator, classes)


def _is_recognised(witness: Any, image: NDArray[np.uint8], asked: int, seed: int) -> bool:
    presence = witness.presence(image, seed)
    return int(presence.argmax()) == asked and bool(presence[asked] >= (AnnotateConfig().min_presence or 0.0))


def _mirrored(
    annotator: Any, image: NDArray[np.uint8], mask: NDArray[np.uint8], asked: ClassSpec, config: RunConfig, seed: int
) -> float:
    """IoU of a class's mask with the one that annotate's path gives the mirror image."""
    from dsfactory.stages.refine.mask import refine_mask

    mirror = np.ascontiguousarray(image[:, ::-1])
    evidence = annotator.evidence(annotator.noisy(mirror, seed), [asked])
    settings = config.of(RefineConfig)
    if settings.affinity == "net":  # it has learnt from the run's own images
        settings = settings.model_copy(update={"affinity": "self"})
    place = 1 + [item.name for item in config.classes].index(asked.name)
    labels = refine_mask(mirror, evidence.cross, evidence.affinity, [place], settings).labels[:, ::-1]
    certain = (mask != 255) & (labels != 255)
    both = (mask == place) & (labels == place) & certain
    either = ((mask == place) | (labels == place)) & certain
    return float(both.sum() / either.sum()) if either.any() else 0.0
