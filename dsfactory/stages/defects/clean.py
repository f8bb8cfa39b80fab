"""Clean pictures as they are on disk, and where on them a flaw may lie."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.dataset.pictures import kind_of, look_at, read_file
from dsfactory.stages.defects.paint import Picture
from dsfactory.stages.defects.shapes import Region

OBJECT = (0.02, 0.95)
"""Share of the image that an object takes; other findings are none."""


def read_clean(data: bytes) -> Picture:
    """A picture in its own depth: grey of 8 or 16 bits (PNG, TIFF), else RGB as a viewer shows it.

    Raises:
        ValueError: it cannot be read; says why in a few words.
    """
    if kind_of(data) in ("png", "tif"):
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if found is not None and found.ndim == 2 and found.dtype in (np.uint8, np.uint16):
            look_at(data)  # it has to be one that is shown
            return found.astype(np.uint8) if found.dtype == np.uint8 else found.astype(np.uint16)
    return look_at(data).pixels


def region_of(picture: Picture, where: str, name: str) -> tuple[Region, str]:
    """Where flaws may lie.

    Args:
        picture: the clean picture.
        where: auto, all, or a folder of masks.
        name: of the picture, relative to its folder.

    Returns:
        bool ``(height, width)``, not empty, and in a word what it is: object, all or mask.

    Raises:
        ValueError: the mask is missing, or does not fit.
    """
    shape = picture.shape[:2]
    if where == "all":
        return np.ones(shape, bool), "all"
    if where == "auto":
        found = _object(picture)
        return (np.ones(shape, bool), "all") if found is None else (found, "object")
    path = next((one for one in sorted(Path(where).glob(f"{Path(name).with_suffix('')}.*"))), None)
    if path is None:
        raise ValueError("no mask of its name in the folder of --where")
    mask = look_at(read_file(path)).pixels.max(axis=2) > 0
    if mask.shape != shape or not mask.any():
        raise ValueError("a mask that is empty or of another size")
    return mask, "mask"


def _object(picture: Picture) -> NDArray[np.bool_] | None:
    """What differs from the colour of the border, cut by Otsu; None where that is no object."""
    values = picture.astype(np.float32).reshape(*picture.shape[:2], -1)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    away = np.abs(values - np.median(border, axis=0)).max(axis=2)
    if away.max() <= 0:
        return None
    grey = (away * (255 / away.max())).astype(np.uint8)
    _, cut = cv2.threshold(cv2.GaussianBlur(grey, (0, 0), 1.5), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    solid = cv2.morphologyEx(cv2.morphologyEx(cut, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel) > 0
    edge = np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])
    return solid if OBJECT[0] <= solid.mean() <= OBJECT[1] and edge.mean() < 0.5 else None
