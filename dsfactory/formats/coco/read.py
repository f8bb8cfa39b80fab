"""COCO instance segmentation."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from dsfactory.errors import UserError
from dsfactory.formats.reading.labels import FixedLabels
from dsfactory.formats.reading.reading import check_size, class_id
from dsfactory.formats.reading.source import Source
from dsfactory.formats.rle import decode_rle

_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading an entry of the wrong form may raise."""


def read_coco(source: Source, classes: Sequence[str]) -> Iterator[FixedLabels]:
    """The images of all COCO files that are there; a later annotation covers an earlier one.

    Raises:
        UserError: there is no COCO file, it is damaged, or it has other categories.
    """
    names = source.find("annotations/*.json") or source.find("*.json")
    images = {PurePosixPath(name).stem: name for name in source.find("images/*", "images/*/*")}
    if not names:
        raise UserError(f"{source.path} has no annotations/*.json")
    for name in names:
        try:
            for labels in _read_file(json.loads(source.read(name)), classes):
                image = source.read(images[labels.key]) if labels.key in images else None
                yield FixedLabels(labels.key, labels.mask, labels.instances, False, image)
        except (RecursionError, *_WRONG) as error:
            raise UserError(f"{source.path}: {name} cannot be read as COCO ({str(error)[:200]})") from error


def _read_file(content: dict[str, Any], classes: Sequence[str]) -> Iterator[FixedLabels]:
    from pycocotools import mask as coco_mask

    labels = {item["id"]: item["name"] for item in content["categories"]}
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    for image in content["images"]:
        shape = check_size(int(image["height"]), int(image["width"]))
        mask, instances = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
        for number, annotation in enumerate(by_image[image["id"]], start=1):
            segmentation = annotation["segmentation"]
            if isinstance(segmentation, list):
                runs = coco_mask.merge(coco_mask.frPyObjects(_checked(segmentation, shape), *shape))
                pixels = coco_mask.decode(runs).astype(bool)
            else:
                pixels = decode_rle(segmentation, *shape)
            mask[pixels] = class_id(labels[annotation["category_id"]], classes)
            instances[pixels] = number
        yield FixedLabels(PurePosixPath(image["file_name"]).stem, mask, instances, False)


def _checked(rings: list[Any], shape: tuple[int, int]) -> list[list[float]]:
    """Polygons that pycocotools may be given: a short one or one far outside would take it beyond its memory."""
    if not rings:
        raise ValueError("an annotation has no polygon")
    for ring in rings:
        points = np.array(ring, dtype=np.float64).reshape(-1, 2)
        if len(points) < 3 or not np.all((points >= -1) & (points <= (shape[1] + 1, shape[0] + 1))):
            raise ValueError("a polygon has fewer than three points or leaves the image")
    return rings
