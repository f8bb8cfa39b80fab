"""A real, labelled set as the judge: what it teaches a network, and what losses are usual on it.

FreeMask (Yang et al. 2023, arXiv 2310.15160) compares the pixels of drawn images with the losses of a network on real
ones. Folds of a run cannot see an error that all samples of a class share; a network of real masks can. The losses come
from the set's ``val`` list, which the network has not seen: on images that it was trained on they would be too small.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.sample import VOID, VOID_NAMES
from dsfactory.formats.reading.labelled import class_table
from dsfactory.formats.voc.folder import VocFolder, VocImages
from dsfactory.segment.network import Segmenter
from dsfactory.segment.predict import predict
from dsfactory.stages.filter.judge import pixel_losses
from dsfactory.storage.atomic import write_atomic

FEW = 20
"""With fewer real images to learn from, a network knows little."""


@dataclass(frozen=True)
class RealSet:
    """A folder in the layout of PASCAL VOC, its labels in the run's terms.

    Attributes:
        train: what the network learns from.
        held: the ``val`` list.
        lacking: classes of the run that the set does not have.
    """

    train: VocImages
    held: VocImages
    lacking: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, classes: Sequence[ClassSpec]) -> "RealSet":
        """Open it.

        Raises:
            UserError: no such folder, or a list or a file is missing.
        """
        folder = VocFolder.open(path)
        table = np.concatenate([[0], class_table(folder.names[1:], classes)[1:]]).astype(np.uint8)
        for number, name in enumerate(folder.names):
            if name.casefold() in VOID_NAMES:
                table[number] = VOID
        known = {*table.tolist()}
        lacking = tuple(item.name for number, item in enumerate(classes, start=1) if number not in known)
        return cls(folder.images("train", table), folder.images("val", table), lacking)

    @cached_property
    def digest(self) -> str:
        """Hash of all that is in it."""
        return "".join(part.summary(lambda: None).digest for part in (self.train, self.held))

    def notes(self) -> list[str]:
        """What a person should know."""
        found = [f"filter: {self.train.folder.root} has no class {name}: its pixels stay" for name in self.lacking]
        if len(self.train) < FEW:
            found.append(f"filter: {len(self.train)} real images teach a network little: {FEW} are few already")
        return found


@dataclass(frozen=True)
class Reference:
    """Losses of a network on real images that it has not seen.

    Attributes:
        loss: per label, background first, their sum over the pixels that carry it.
        pixels: the number of these.
    """

    loss: list[float]
    pixels: list[int]

    @classmethod
    def measured(cls, model: Segmenter, real: RealSet, labels: int, side: int) -> "Reference":
        """The losses of a network on the held-out list."""
        loss, pixels = np.zeros(labels), np.zeros(labels, np.int64)
        for index in range(len(real.held)):
            image, mask = real.held[index]
            (probabilities,) = predict(model, [image], side)
            known = mask != VOID
            losses = pixel_losses(probabilities, mask)[known]
            loss += np.bincount(mask[known], weights=losses, minlength=labels)
            pixels += np.bincount(mask[known], minlength=labels)
        return cls(loss.tolist(), pixels.tolist())

    @classmethod
    def read(cls, path: Path) -> "Reference":
        return cls(**json.loads(path.read_bytes()))

    def write(self, path: Path) -> None:
        write_atomic(path, json.dumps({"loss": self.loss, "pixels": self.pixels}).encode())

    def limits(self, tolerance: float) -> NDArray[np.float64]:
        """The largest loss that a pixel of each label may have; infinite for one that no real pixel carries."""
        pixels = np.array(self.pixels)
        found: NDArray[np.float64] = np.full(len(pixels), np.inf)
        if tolerance > 0:
            np.divide(tolerance * np.array(self.loss), pixels, out=found, where=pixels > 0)
        return found
