"""Examine a COCO export."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.dataset.sample import Instance, read_labels
from dsfactory.formats import ExportSample
from dsfactory.formats.checker import ExportCheck, Place
from dsfactory.formats.rle import decode_rle
from dsfactory.formats.writer import SPLITS

_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading an entry of the wrong form may raise."""


class CocoCheck(ExportCheck):
    """Reads ``annotations/instances_*.json`` and the images that they name."""

    def faults(self) -> Iterator[Place]:
        self._images: dict[int, tuple[str, dict[str, Any]]] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for split in SPLITS:
            place = f"annotations/instances_{split}.json"
            try:
                content = json.loads((self.root / place).read_bytes())
                images, annotations = list(content["images"]), list(content["annotations"])
                categories = [(item["id"], item["name"]) for item in content["categories"]]
            except (OSError, RecursionError, *_WRONG) as error:
                yield place, f"cannot be read as COCO ({type(error).__name__})"
                continue
            if categories != list(enumerate(self.classes, start=1)):
                yield place, "its categories are not the classes of the export"
            for name, found in (("images", images), ("instances", annotations)):
                if len(found) != self.counts[name][split]:
                    yield place, f"has {len(found)} {name} instead of {self.counts[name][split]}"
            yield from self._image_faults(place, split, images)
            yield from self._annotation_faults(place, annotations)

    def _image_faults(self, place: str, split: str, images: list[Any]) -> Iterator[Place]:
        named = set()
        for image in images:
            try:
                number, file_name = int(image["id"]), str(image["file_name"])
                size = (int(image["width"]), int(image["height"]))
            except _WRONG:
                yield place, f"an image is not a COCO entry: {str(image)[:60]}"
                continue
            if number in self._images or "/" in file_name or file_name in named:
                yield place, f"image {number} ({file_name!r}) is there twice or lies elsewhere"
                continue
            named.add(file_name)
            self._images[number] = (f"images/{split}/{file_name}", image)
            self.images += 1
            try:
                self._sizes[number] = self.image_size(f"images/{split}/{file_name}")
                if self._sizes[number] != size:
                    yield f"images/{split}/{file_name}", f"has {self._sizes[number]} pixels, its entry says {size}"
            except ValueError as error:
                yield f"images/{split}/{file_name}", str(error)
        folder = self.root / "images" / split
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name not in named:
                yield f"images/{split}/{path.name}", f"is not named in {place}"

    def _annotation_faults(self, place: str, annotations: list[Any]) -> Iterator[Place]:
        seen = set()
        for annotation in annotations:
            try:
                number, image = int(annotation["id"]), int(annotation["image_id"])
                if image not in self._images:
                    yield place, f"annotation {number} belongs to no image"
                    continue
                if number in seen or not 1 <= annotation["category_id"] <= len(self.classes):
                    yield place, f"annotation {number} is there twice or has an unknown category"
                seen.add(number)
                if image in self._sizes and not _fits(annotation, *self._sizes[image]):
                    yield place, f"annotation {number}: area or box do not fit its segmentation"
            except _WRONG as error:
                yield place, f"annotation {str(annotation)[:40]}… cannot be used ({type(error).__name__})"
                continue
            self._annotations[image].append(annotation)

    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        left = dict(self._images)
        for sample in samples:
            number = int(sample.row["number"]) + 1
            name, image = left.pop(number, ("", {}))
            if not name:
                yield "annotations", f"sample {sample.key} of the run has no image"
                continue
            if not self.same_image(name, sample):
                yield name, "is not the image of the run's sample"
            instances = list(read_labels(sample, len(self.classes)).objects())
            annotations = self._annotations[number]
            same = len(annotations) == len(instances) and all(map(_agree, annotations, instances))
            if not same or any(image.get(column) != sample.row.get(column) for column in ("prompt", "image_seed")):
                yield name, "its annotations are not those of the run's sample"
        for name, _ in left.values():
            yield name, "is no sample of the run"


def _fits(annotation: dict[str, Any], width: int, height: int) -> bool:
    """Whether area and box are those of the segmentation."""
    pixels = _rasterise(annotation["segmentation"], height, width)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    box = (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    return bool(annotation["area"] == np.count_nonzero(pixels)) and list(annotation["bbox"]) == [*map(float, box)]


def _agree(annotation: dict[str, Any], instance: Instance) -> bool:
    pixels = _rasterise(annotation["segmentation"], *instance.pixels.shape)
    return annotation["category_id"] == instance.category and bool(np.array_equal(pixels, instance.pixels))


def _rasterise(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    from pycocotools import mask as coco_mask

    if isinstance(segmentation, dict):
        return decode_rle(segmentation, height, width)
    rings = [[float(value) for value in ring] for ring in segmentation]
    if not rings or any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        raise ValueError("a polygon needs three points")
    points = np.concatenate([np.reshape(ring, (-1, 2)) for ring in rings])
    if not np.all((points >= 0) & (points <= (width, height))):  # the rasteriser would take memory for what lies beyond
        raise ValueError("a polygon leaves the image")
    encoded = coco_mask.merge(coco_mask.frPyObjects(rings, height, width))
    return np.asarray(coco_mask.decode(encoded), dtype=bool)
