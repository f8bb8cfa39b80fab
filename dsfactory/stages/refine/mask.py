"""From one image and its evidence to one mask: the refine stage without the files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.dataset.witness import Witness
from dsfactory.stages.refine.affinity import Walk, walked_maps
from dsfactory.stages.refine.affinity_net import AffinityNet
from dsfactory.stages.refine.clean import Labels, Parting, components, ids_in, label_instances, set_void
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.contest import contest, cut_at, scaled_kernels
from dsfactory.stages.refine.counted import SEVERAL
from dsfactory.stages.refine.fuse import Maps, average_maps, contrasts, fuse_maps, peaks, resize_maps, stretch
from dsfactory.stages.refine.instances import split_mask
from dsfactory.stages.refine.levels import grid_weights
from dsfactory.stages.refine.prior import Prior
from dsfactory.stages.refine.snap import Snapped, snap
from dsfactory.stages.refine.threshold import (
    candidate_thresholds,
    choose_threshold,
    mask_iou,
    otsu_threshold,
    sweep_agreement,
    swept,
)

Float = NDArray[np.float32]

SMALL = "its parts are too small"
"""Why a class has no mask that attention had placed somewhere."""


ELSEWHERE = "it is not where the layout has it"
"""Why a class of a layout has no mask."""


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
        missing: why it has no mask; empty for a class that has one.
        void: fraction of the image that is void.
        layout_iou: of a sample that was drawn to a layout, IoU of each class's region there with what its attention
            outlines by itself; empty for others.
    """

    labels: Labels
    instances: Labels
    thresholds: tuple[float, ...]
    agreement: tuple[float, ...]
    claim: tuple[float, ...]
    peak: tuple[float, ...]
    area: tuple[float, ...]
    components: tuple[int, ...]
    missing: tuple[str, ...]
    void: float
    layout_iou: tuple[float, ...] = ()


def refine_mask(
    image: NDArray[np.uint8],
    cross: Maps,
    affinity: Maps,
    class_ids: Sequence[int],
    config: RefineConfig,
    net: AffinityNet | None = None,
    prior: Prior | None = None,
    *,
    edges: Maps | None = None,
    asked: Sequence[int | None] = (),
) -> RefinedMask:
    """Turn attention into a mask.

    Args:
        image: uint8 RGB, shape ``(height, width, 3)``.
        cross: cross-attention maps by grid, each of shape ``(classes, h, w)``, raw probabilities.
        affinity: self-attention affinity maps by grid, same layout; empty when none was captured.
        class_ids: the mask's value for each class, distinct, 1 to 254.
        config: settings.
        net: the run's affinity network, for ``config.affinity`` ``"net"``.
        prior: the layout that the image was drawn to. A class has no mask where attention alone does not find it there.
        edges: of self-attention by grid, ``(1, h, w)`` in [0, 1], for ``config.instances`` ``"edges"``.
        asked: how many objects of each class the prompt asks for, see :mod:`.counted`; empty when nobody said.

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
    found: tuple[float, ...] = ()
    if prior is not None:
        found = prior.overlap(coarse)
        kept = np.array([iou >= config.min_layout_iou for iou in found])
        fused, whole = (maps * prior.reach * kept[:, None, None] for maps in (fused, whole))
        coarse = coarse_masks(whole)
    thresholds = _thresholds(thumbnail, fused, coarse, config)
    contrast = contrasts(average_maps(cross, max(cross), grid_weights(cross, config)))
    shared = contest(image, thumbnail, fused, contrast, thresholds, class_ids, config)
    if prior is None:
        parting = _parting(config, class_ids, asked, edges, (height, width))
        parts = label_instances(shared.labels, parting)[0]
    else:
        parts = prior.instances(shared.labels)
    labels, instances = set_void(shared.labels, parts, shared.open)
    area = tuple(float(np.mean(labels == c)) for c in class_ids)
    return RefinedMask(
        labels=labels,
        instances=instances,
        thresholds=tuple(thresholds),
        agreement=tuple(mask_iou(labels == c, one) for c, one in zip(class_ids, coarse, strict=True)),
        claim=tuple(shared.claims),
        peak=tuple(peaks(cross).tolist()),
        area=area,
        components=tuple(len(ids_in(np.where(labels == c, instances, np.uint8(0)))) for c in class_ids),
        missing=tuple(
            "" if share else ELSEWHERE if prior and found[k] < config.min_layout_iou else why or SMALL
            for k, (share, why) in enumerate(zip(area, shared.missing, strict=True))
        ),
        void=float(np.mean(labels == VOID)),
        layout_iou=found,
    )


def as_layout(mask: RefinedMask, prior: Prior) -> RefinedMask:
    """The layout as the label where it agrees with a mask; elsewhere it is void."""
    layout = prior.layout
    labels = np.where(layout.mask == mask.labels, layout.mask, np.uint8(VOID))
    found = np.where(labels == 0, np.uint8(0), layout.objects)
    return _changed(mask, labels, set_void(labels, found, labels == VOID)[1], prior.class_ids)


def with_witness(
    image: NDArray[np.uint8], mask: RefinedMask, class_ids: Sequence[int], witness: Witness
) -> tuple[RefinedMask, Snapped]:
    """A mask after a promptable segmenter was asked about each of its objects, and what that said."""
    found = snap(image, mask.labels, mask.instances, witness)
    return _changed(mask, found.labels, found.instances, class_ids), found


def _changed(mask: RefinedMask, labels: Labels, instances: Labels, class_ids: Sequence[int]) -> RefinedMask:
    """A mask with other labels, and what follows from them."""
    area = tuple(float(np.mean(labels == c)) for c in class_ids)
    return replace(
        mask,
        labels=labels,
        instances=instances,
        area=area,
        components=tuple(len(ids_in(np.where(labels == c, instances, np.uint8(0)))) for c in class_ids),
        missing=tuple("" if share else why or SMALL for share, why in zip(area, mask.missing, strict=True)),
        void=float(np.mean(labels == VOID)),
    )


def fused_maps(cross: Maps, affinity: Maps, size: tuple[int, int], config: RefineConfig) -> tuple[Float, Float]:
    """What attention says, at the image's size.

    Returns:
        The fused map, with self-attention in it unless that is missing or ``config.affinity`` is ``"none"``, and what
        of it is to judge thresholds by: float32 of shape ``(classes, height, width)`` in [0, 1].
    """
    fused = fuse_maps(cross, size, grid_weights(cross, config))
    if config.affinity == "none" or not affinity:
        return fused, fused
    whole = stretch(resize_maps(affinity[max(affinity)], size))
    return stretch((1 - config.affinity_weight) * fused + config.affinity_weight * whole), whole


def _parting(
    config: RefineConfig,
    class_ids: Sequence[int],
    asked: Sequence[int | None],
    edges: Maps | None,
    size: tuple[int, int],
) -> Parting | None:
    """What parts objects of one class; None for what does not touch."""
    if config.instances == "components":
        return None
    if config.instances in ("shape", "edges"):
        use = edges if config.instances == "edges" else None
        plane = resize_maps(use[max(use)], size)[0] if use else None
        return lambda class_id, mask: split_mask(mask, plane)
    numbers = dict(zip(class_ids, asked, strict=False))

    def counted(class_id: int, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
        number = numbers.get(class_id)
        if number is None or number == 1:
            return components(mask)[0]
        return split_mask(mask, most=None if number == SEVERAL else number)

    return counted


def coarse_masks(maps: Float) -> NDArray[np.bool_]:
    """The opinion that thresholds are judged by: Otsu's cut of the affinity map, or of the fused map without one."""
    return cut_at(maps, [otsu_threshold(one) for one in maps])


def _thresholds(thumbnail: Thumbnail, fused: Float, coarse: NDArray[np.bool_], config: RefineConfig) -> list[float]:
    if config.threshold != "auto":
        return [config.threshold] * len(fused)
    candidates = candidate_thresholds(config.threshold_low, config.threshold_high)
    tried = swept(candidates)
    device = config.device if config.crf_backend == "torch" else None
    agreement = sweep_agreement(thumbnail, fused, coarse, tried, config.sharpness, config.crf_iterations, device)
    return [choose_threshold(row, tried, candidates) for row in agreement]
