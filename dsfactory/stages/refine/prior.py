"""The layout that an image was drawn to, as what is known of its label beforehand.

Training-free control puts things in the right place and does not follow outlines. So the label stays that of
attention: the layout only bounds it, tells touching objects apart, and says whether the object is there at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.dataset.exported import numbered
from dsfactory.stages.generate.layouts.layout import Labels, Placed
from dsfactory.stages.refine.threshold import mask_iou

MARGIN = 1 / 16
"""How far outside of its region a class may be, as a share of the image's longer side."""


@dataclass(frozen=True)
class Prior:
    """What a layout says of an image's classes.

    Attributes:
        layout: in the image's size.
        class_ids: of the classes, in order.
        region: bool ``(classes, height, width)``: where the layout has each.
        reach: float32, the same shape: 1 where each may be, 0 elsewhere.
    """

    layout: Placed
    class_ids: Sequence[int]
    region: NDArray[np.bool_]
    reach: NDArray[np.float32]

    @classmethod
    def of(cls, layout: Placed, class_ids: Sequence[int]) -> "Prior":
        """The prior of a layout; where that is void, any class may be."""
        region = np.stack([layout.mask == number for number in class_ids])
        side = 2 * round(MARGIN * max(layout.mask.shape)) + 1
        window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        void = layout.mask == VOID
        reach = np.stack([cv2.dilate((one | void).astype(np.uint8), window) for one in region])
        return cls(layout, class_ids, region, reach.astype(np.float32))

    def overlap(self, masks: NDArray[np.bool_]) -> tuple[float, ...]:
        """IoU of each class's region with a mask of it; where the layout is void, nothing counts."""
        known = self.layout.mask != VOID
        return tuple(mask_iou(one, mask & known) for one, mask in zip(self.region, masks, strict=True))

    def instances(self, labels: Labels) -> Labels:
        """Object ids of a label map: each pixel belongs to the layout's nearest object of its class.

        Args:
            labels: uint8 ``(height, width)``: class ids and 0.

        Returns:
            uint8, the same shape: ids from 1 in row-major order of their first pixels, 0 background.
        """
        objects = self.layout.classes_of_objects()
        found = np.zeros(labels.shape, np.int32)
        for label in self.class_ids:
            mine = labels == label
            ids = [number for number, of in objects.items() if of == label]
            if not ids or not mine.any():
                continue
            distances = [
                cv2.distanceTransform((self.layout.objects != number).astype(np.uint8), cv2.DIST_L2, 5)[mine]
                for number in ids
            ]
            found[mine] = np.array(ids)[np.argmin(distances, axis=0)]
        return numbered(labels, found)[0].astype(np.uint8)
