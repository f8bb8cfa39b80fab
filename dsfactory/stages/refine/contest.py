"""How the classes of an image share out its pixels, and which of them are not to be seen in it.

A model that is asked for three things may draw two (catastrophic neglect: Chefer et al. 2023, Attend-and-Excite,
section 1). A map stretched to its own maximum does not show how weak it is, so what it claims is compared with what the
others claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND
from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_cpu import softmax, winners
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.stages.refine.clean import Labels, drop_small_parts, fill_holes, scaled_limit
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.halo import find_halos, takes_place, without_peak
from dsfactory.stages.refine.threshold import mask_iou, soft_logits

Float = NDArray[np.float32]

SILENT = "its attention has no contrast"
NO_PEAK = "its attention has no peak of its own"
OUTDONE = "other classes claim its place"
HALO = "it only surrounds another class"


@dataclass(frozen=True)
class Shared:
    """An image shared out; sequences hold one value per class, in the order given.

    Attributes:
        labels: the clean label map, uint8 ``(height, width)``: class ids and 0.
        open: boolean, the same shape: what is not sure, to become void.
        claims: IoU of what the class's map alone says, cut at its threshold, with what the class got; of a class that
            was left out, what it was then.
        missing: why it was left out; empty for a class that was not.
    """

    labels: Labels
    open: NDArray[np.bool_]
    claims: list[float]
    missing: list[str]


def contest(
    image: NDArray[np.uint8],
    thumbnail: Thumbnail,
    fused: Float,
    contrast: Float,
    thresholds: Sequence[float],
    class_ids: Sequence[int],
    config: RefineConfig,
) -> Shared:
    """Let the classes share out the image, and leave out those that are not to be seen in it.

    A class without contrast, or without a peak beside classes that have one, does not take part. The attention to a
    class that was not drawn lies on the others' objects, where it loses what it claims: of what its map alone would
    label, another class gets the most part. So the class whose claim holds least is left out (or the one that took its
    place, if that one's map is much flatter) and the others share the image again, until each has ``config.min_claim``.
    What such a class may keep is the rim of the others' objects. A class whose mask is mostly halo (see
    :func:`dsfactory.stages.refine.halo.find_halos`) is left out too; elsewhere halos are open. Of classes with contrast
    the last is never left out, for nobody contests it.

    Args:
        image: uint8 RGB ``(height, width, 3)``.
        thumbnail: of the image.
        fused: float32 ``(classes, height, width)`` in [0, 1].
        contrast: of each class's map, see :func:`dsfactory.stages.refine.fuse.contrasts`.
        thresholds: where each map is cut.
        class_ids: the label of each class.
        config: settings.
    """
    claimed = cut_at(fused, thresholds)
    claims = [0.0] * len(class_ids)
    missing = ["" if value >= config.min_contrast else SILENT for value in contrast]
    rivals = [k for k, why in enumerate(missing) if not why]
    if config.max_halo:
        for k in [rivals[place] for place in without_peak(contrast[rivals])]:
            missing[k] = NO_PEAK
            rivals.remove(k)
    if not rivals:
        nothing = np.zeros(image.shape[:2], np.uint8)
        return Shared(nothing, nothing > 0, claims, missing)
    while True:
        cuts, ids = [thresholds[k] for k in rivals], [class_ids[k] for k in rivals]
        labels, open_ = _share(image, thumbnail, fused[rivals], cuts, ids, config)
        for k in rivals:
            claims[k] = mask_iou(claimed[k], labels == class_ids[k])
        if len(rivals) == 1:
            return Shared(labels, open_, claims, missing)
        weakest = min(rivals, key=lambda k: claims[k])
        if claims[weakest] < config.min_claim:
            taker = max(rivals, key=lambda k: np.count_nonzero(claimed[weakest] & (labels == class_ids[k])))
            stolen = bool(config.max_halo) and takes_place(contrast, taker, weakest)
            gone, why = (taker, NO_PEAK) if stolen else (weakest, OUTDONE)
            missing[gone] = why
            rivals.remove(gone)
            continue
        halos = find_halos(labels, fused[rivals], ids, config.max_halo)
        worst = max(range(len(rivals)), key=lambda place: halos.share[place])
        if halos.share[worst] <= 0.5:
            return Shared(labels, open_ | halos.where, claims, missing)
        missing[rivals.pop(worst)] = HALO


def scaled_kernels(config: RefineConfig, size: tuple[int, int]) -> Kernels:
    """The CRF's kernels for an image of ``(height, width)``."""
    return Kernels(
        config.gaussian_sxy,
        config.gaussian_compat,
        config.bilateral_sxy,
        config.bilateral_srgb,
        config.bilateral_compat,
    ).scaled(float(np.sqrt(size[0] * size[1])) / 512.0)


def cut_at(maps: Float, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Where each of the maps, not zero, reaches its threshold."""
    return np.stack([(one >= threshold) & (one > 0) for one, threshold in zip(maps, thresholds, strict=True)])


def _share(
    image: NDArray[np.uint8],
    thumbnail: Thumbnail,
    fused: Float,
    thresholds: list[float],
    class_ids: list[int],
    config: RefineConfig,
) -> tuple[Labels, NDArray[np.bool_]]:
    """The clean label map when all of these classes compete, and where it is open."""
    posterior = _posterior(image, thumbnail, fused, thresholds, config)
    labels = np.array([BACKGROUND, *class_ids], dtype=np.uint8)[winners(posterior)]
    cleaned = drop_small_parts(labels, scaled_limit(config.min_box, labels.shape))
    cleaned = fill_holes(cleaned, scaled_limit(config.max_hole, labels.shape))
    if not config.crf_iterations:  # before a CRF the probabilities only say how far from the threshold a pixel is
        return cleaned, np.zeros(labels.shape, bool)
    return cleaned, (posterior.max(axis=0) < config.certainty) & (cleaned == labels)


def _posterior(
    image: NDArray[np.uint8], thumbnail: Thumbnail, fused: Float, thresholds: list[float], config: RefineConfig
) -> Float:
    """Label probabilities, background first, of shape ``(classes + 1, height, width)``.

    All classes compete in one CRF. It may erase what is thin or small: a class whose mask changes too
    much falls back on what it had before.
    """
    logits = soft_logits(fused, thresholds, config.sharpness)
    logits[fused.max(axis=(1, 2)) == 0] = -np.inf
    logits = np.concatenate([np.zeros_like(logits[:1]), logits])
    start = softmax(logits)
    if config.crf_iterations == 0:
        return start
    kernels = scaled_kernels(config, (image.shape[0], image.shape[1]))
    posterior = dense_crf(image, start, kernels, config.crf_iterations, config.crf_backend, thumbnail, config.device)
    before, after = winners(start), winners(posterior)
    for label in range(1, len(start)):
        if mask_iou(before == label, after == label) < config.crf_min_iou:
            restored = (before == label) | (after == label)
            posterior[:, restored] = before[restored] == np.arange(len(start))[:, None]
    return posterior
