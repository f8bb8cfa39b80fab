"""COCO instance segmentation."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from dsfactory.errors import UserError
from dsfactory.formats.coco.segmentation import WRONG, decode
from dsfactory.formats.reading.images import check_size
from dsfactory.formats.reading.labels import FixedLabels, class_id
from dsfactory.formats.reading.source import Source


def read_coco(source: Source, classes: Sequence[str]) -> Iterator[FixedLabels]:
    """The images of all COCO files that are there; a later annotation covers an earlier one.

    Raises:
        UserError: there is no COCO file, it is damaged, or it has other categories.
    """
    names = source.find("annotations/*.json") or source.find("*.json")
    images = source.by_key("images/*", "images/*/*")
    if not names:
        raise UserError(f"{source.path} has no annotations/*.json")
    for name in names:
        try:
            for labels in _read_file(json.loads(source.read(name)), classes):
                yield replace(labels, image=source.read_if(images.get(labels.key)))
        except (RecursionError, *WRONG) as error:
            raise UserError(f"{source.path}: {name} cannot be read as COCO ({str(error)[:200]})") from error


def _read_file(content: dict[str, Any], classes: Sequence[str]) -> Iterator[FixedLabels]:
    labels = {item["id"]: item["name"] for item in content["categories"]}
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    for image in content["images"]:
        shape = check_size(int(image["height"]), int(image["width"]))
        mask, instances = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
        for number, annotation in enumerate(by_image[image["id"]], start=1):
            pixels = decode(annotation["segmentation"], *shape)
            mask[pixels] = class_id(labels[annotation["category_id"]], classes)
            instances[pixels] = number
        yield FixedLabels(PurePosixPath(image["file_name"]).stem, mask, instances, False)
