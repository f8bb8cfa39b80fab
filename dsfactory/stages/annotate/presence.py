"""Which of the listed classes a given picture shows.

Two witnesses are heard, place by place. *Attention*: a pass with the plain prompt, in which all classes, other things
and words for backgrounds compete for each place (concepts.py, rivals.py). It says where a thing is, whatever its style,
and which few classes it may be. *Error*: a diffusion classifier (Li et al. 2023, arXiv 2303.16203, section 3) among
these few: naming a thing rightly lowers the error of the noise prediction, for which all prompts see the same noise.
Places of a thing are heard together. A class is present as far as it is likelier than its rivals somewhere on a thing.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.rivals import backgrounds, other_things

Maps = NDArray[np.float32]

TIMESTEPS = (200, 400, 600)
"""Noisier than for masks: at 600 steps of 1000 outlines are gone, and what a thing is counts most."""

SHORTLIST = 4
"""Classes whose errors are compared; attention had the right one among its first two in at least 0.9 of all things."""

ERROR_WEIGHT = 4.0
"""A lower error by this part of the mean error counts as much as being e times as likely by attention."""

BLUR = 0.09
"""Width of the blur within things, as a share of the side of the latents."""

SHARPNESS = 6.0
"""How quickly a place becomes part of a thing as attention to the best class passes that to the best background."""

FLOOR = 1e-3
"""Attention below this share says no more than this share."""


class Judge:
    """Says which classes a picture shows.

    What comes out depends on the picture, its seed and the settings alone.

    Args:
        annotator: looks at the picture.
        classes: those that are asked for, at least one.

    Raises:
        UserError: see :meth:`Annotator.alone`.
    """

    def __init__(self, annotator: Annotator, classes: Sequence[ClassSpec]) -> None:
        self._annotator = annotator
        self._asked = len(classes)
        self._count = len(classes) + len(other_things(classes))
        vocabulary = [*classes, *other_things(classes), *backgrounds(classes)]
        self._plain, self._alone, self._words = annotator.alone(vocabulary)

    def presence(self, image: NDArray[np.uint8], seed: int) -> Maps:
        """How sure it is that each class is in a picture.

        Args:
            image: uint8 RGB, shape ``(height, width, 3)``.
            seed: of the noise.

        Returns:
            float32 of shape ``(classes,)``, from 0 to 1; NaN where the model's numbers are none.
        """
        noisy = self._annotator.noisy(image, seed, TIMESTEPS)
        maps, plain = self._annotator.concepts(noisy, self._plain, self._words)
        attention = maps.cpu().numpy()
        thing = foreground(attention[: self._count], attention[self._count :])
        named = np.log(attention[: self._count] + FLOOR)
        few = np.argsort(-claims(named, thing), kind="stable")[:SHORTLIST]
        errors = np.stack([self._annotator.error(noisy, self._alone[place]) for place in few]) / plain.mean()
        found = np.zeros(self._count, np.float32)
        found[few] = claims(named[few] - ERROR_WEIGHT * errors, thing)
        return found[: self._asked]


def foreground(things: Maps, around: Maps) -> Maps:
    """How far each place shows a thing.

    Args:
        things: float32 ``(things, h, w)``: attention to each.
        around: float32 ``(backgrounds, h, w)``.

    Returns:
        float32 ``(h, w)`` in [0, 1]: a half where the best thing is as likely as the best background.
    """
    odds = np.log(things.max(0) + FLOOR) - np.log(around.max(0) + FLOOR)
    found: Maps = (1 / (1 + np.exp(-SHARPNESS * odds))).astype(np.float32)
    return found


def claims(scores: Maps, thing: Maps) -> Maps:
    """The most that each class can claim of any place.

    Args:
        scores: float32 ``(classes, h, w)``: log-likelihood of each class, up to a number per place.
        thing: float32 ``(h, w)``: see :func:`foreground`.

    Returns:
        float32 ``(classes,)`` in [0, 1]: the highest share of a class among all at a place, times how far the place
        and its neighbours show a thing.
    """
    side = float(np.sqrt(thing.size))
    weight = _blurred(thing, BLUR * side)
    heard = np.stack([_blurred(one * thing, BLUR * side) for one in scores]) / np.maximum(weight, FLOOR)
    shares = np.exp(heard - heard.max(0))
    shares /= shares.sum(0)
    found: Maps = (shares * _blurred(thing, side / 16)).max((1, 2)).astype(np.float32)
    return found


def _blurred(values: Maps, sigma: float) -> Maps:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
