"""From one image and its evidence to one mask: the refine stage without the files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_cpu import softmax, winners
from dsfactory.crf.kernels import Kernels
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.stages.refine.affinity import Walk, walked_maps
from dsfactory.stages.refine.affinity_net import AffinityNet
from dsfactory.stages.refine.clean import (
    Labels,
    drop_small_parts,
    fill_holes,
    ids_in,
    label_instances,
    scaled_limit,
    set_void,
)
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.fuse import Maps, fuse_maps, peaks, resize_maps, stretch
from dsfactory.stages.refine.threshold import (
    candidate_thresholds,
    choose_threshold,
    mask_iou,
    otsu_threshold,
    soft_logits,
    sweep_agreement,
    swept,
)

Float = NDArray[np.float32]


@dataclass(frozen=True)
class RefinedMask:
    """A mask with its scores; sequences hold one value per class, in the order given.

    Attributes:
        labels: uint8, shape ``(height, width)``: class ids, 0 background, 255 void.
        instances: uint8, same shape: ids from 1 in row-major order of first pixels, 0 background, 255 void. An object
            that void cuts in pieces is one; the order is that of the pixels before void.
        thresholds: where each fused map was cut, in (0, 1).
        agreement: IoU of the final mask with the coarse mask that chose the threshold.
        claim: IoU of what the class's map alone says, cut at its threshold, with what the class got among the others;
            of a class that was left out, what it was then.
        peak: highest raw attention probability.
        area: fraction of the image.
        components: number of instances.
        void: fraction of the image that is void.
    """

    labels: Labels
    instances: Labels
    thresholds: tuple[float, ...]
    agreement: tuple[float, ...]
    claim: tuple[float, ...]
    peak: tuple[float, ...]
    area: tuple[float, ...]
    components: tuple[int, ...]
    void: float


def refine_mask(
    image: NDArray[np.uint8],
    cross: Maps,
    affinity: Maps,
    class_ids: Sequence[int],
    config: RefineConfig,
    net: AffinityNet | None = None,
) -> RefinedMask:
    """Turn attention into a mask.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        cross: cross-attention maps by grid, each of shape ``(classes, h, w)``, raw probabilities.
        affinity: self-attention affinity maps by grid, same layout; empty when none was captured.
        class_ids: the mask's value for each class, distinct, 1 to 254.
        config: settings.
        net: the run's affinity network, for ``config.affinity`` ``"net"``.

    Returns:
        The mask; a class without evidence, whose parts were all too small or that is not to be seen (see
        :func:`contest`) is absent from it.

    Raises:
        ValueError: there is no map, the number of classes differs from the maps', a map holds NaN or infinity, or the
            mask falls into more than 254 parts.
    """
    if not cross:
        raise ValueError("evidence holds no cross-attention map")
    for maps in (cross, affinity):
        for grid, grid_maps in maps.items():
            if len(grid_maps) != len(class_ids):
                raise ValueError(f"evidence {grid} has {len(grid_maps)} classes, the sample has {len(class_ids)}")
            if not np.isfinite(grid_maps).all():
                raise ValueError(f"evidence {grid} has values that are not numbers")
    height, width = image.shape[:2]
    thumbnail = Thumbnail(image, scaled_kernels(config, (height, width)))
    fused, whole = fused_maps(cross, affinity, (height, width), config)
    if config.affinity == "net":
        assert net is not None
        whole = walked_maps(net, image, fused, Walk(config.walk_beta, config.walk_steps))
    coarse = coarse_masks(whole)
    thresholds = _thresholds(thumbnail, fused, coarse, config)
    cleaned, open_, claims = contest(image, thumbnail, fused, thresholds, class_ids, config)
    labels, instances = set_void(cleaned, label_instances(cleaned)[0], open_)
    return RefinedMask(
        labels=labels,
        instances=instances,
        thresholds=tuple(thresholds),
        agreement=tuple(mask_iou(labels == c, one) for c, one in zip(class_ids, coarse, strict=True)),
        claim=tuple(claims),
        peak=tuple(peaks(cross).tolist()),
        area=tuple(float(np.mean(labels == c)) for c in class_ids),
        components=tuple(len(ids_in(np.where(labels == c, instances, np.uint8(0)))) for c in class_ids),
        void=float(np.mean(labels == VOID)),
    )


def scaled_kernels(config: RefineConfig, size: tuple[int, int]) -> Kernels:
    """The CRF's kernels for an image of ``(height, width)``."""
    return Kernels(
        config.gaussian_sxy,
        config.gaussian_compat,
        config.bilateral_sxy,
        config.bilateral_srgb,
        config.bilateral_compat,
    ).scaled(float(np.sqrt(size[0] * size[1])) / 512.0)


def fused_maps(cross: Maps, affinity: Maps, size: tuple[int, int], config: RefineConfig) -> tuple[Float, Float]:
    """What attention says, at the image's size.

    Returns:
        The fused map, with self-attention in it unless that is missing or ``config.affinity`` is ``"none"``, and what
        of it is to judge thresholds by: float32 of shape ``(classes, height, width)`` in [0, 1].
    """
    fused = fuse_maps(cross, size, config.resolution_weights)
    if config.affinity == "none" or not affinity:
        return fused, fused
    whole = stretch(resize_maps(affinity[max(affinity)], size))
    return stretch((1 - config.affinity_weight) * fused + config.affinity_weight * whole), whole


def coarse_masks(maps: Float) -> NDArray[np.bool_]:
    """The opinion that thresholds are judged by: Otsu's cut of the affinity map, or of the fused map without one."""
    return _cut(maps, [otsu_threshold(one) for one in maps])


def _cut(maps: Float, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Where each of the maps, not zero, reaches its threshold."""
    return np.stack([(one >= threshold) & (one > 0) for one, threshold in zip(maps, thresholds, strict=True)])


def _thresholds(thumbnail: Thumbnail, fused: Float, coarse: NDArray[np.bool_], config: RefineConfig) -> list[float]:
    if config.threshold != "auto":
        return [config.threshold] * len(fused)
    candidates = candidate_thresholds(config.threshold_low, config.threshold_high)
    tried = swept(candidates)
    agreement = sweep_agreement(thumbnail, fused, coarse, tried, config.sharpness, config.crf_iterations)
    return [choose_threshold(row, tried, candidates) for row in agreement]


def contest(
    image: NDArray[np.uint8],
    thumbnail: Thumbnail,
    fused: Float,
    thresholds: Sequence[float],
    class_ids: Sequence[int],
    config: RefineConfig,
) -> tuple[Labels, NDArray[np.bool_], list[float]]:
    """Let the classes share out the image, and leave out those that are not to be seen in it.

    A model that is asked for three things may draw two (catastrophic neglect: Chefer et al. 2023, Attend-and-Excite,
    section 1). The attention to the third then lies on the others' objects, and a map stretched to its own maximum does
    not show how weak it is. But it loses what it claims: of what its map alone would label, another class gets the most
    part. So the class whose claim holds least is left out and the others share the image anew, until each has
    ``config.min_claim`` or only one is left, which nobody contests.

    Returns:
        The clean label map, where it is open, and the claim of each class.
    """
    claimed = _cut(fused, thresholds)
    claims = [0.0] * len(class_ids)
    rivals = list(range(len(class_ids)))
    while True:
        cuts, ids = [thresholds[k] for k in rivals], [class_ids[k] for k in rivals]
        labels, open_ = _share(image, thumbnail, fused[rivals], cuts, ids, config)
        for k in rivals:
            claims[k] = mask_iou(claimed[k], labels == class_ids[k])
        weakest = min(rivals, key=lambda k: claims[k])
        if len(rivals) == 1 or claims[weakest] >= config.min_claim:
            return labels, open_, claims
        rivals.remove(weakest)


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
    posterior = dense_crf(image, start, kernels, config.crf_iterations, config.crf_backend, thumbnail)
    before, after = winners(start), winners(posterior)
    for label in range(1, len(start)):
        if mask_iou(before == label, after == label) < config.crf_min_iou:
            restored = (before == label) | (after == label)
            posterior[:, restored] = before[restored] == np.arange(len(start))[:, None]
    return posterior
