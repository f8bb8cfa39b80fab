"""Examine a COCO export."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from dsfactory.dataset.sample import ExportSample, Instance, box_of, read_labels
from dsfactory.formats.checker import ContentCheck, Place, is_within
from dsfactory.formats.coco.segmentation import WRONG, decode


class CocoCheck(ContentCheck):
    """Reads ``annotations/instances_*.json`` and the images that they name."""

    lists: ClassVar[str] = "annotations"

    def faults(self) -> Iterator[Place]:
        self._images: dict[int, dict[str, Any]] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for split in self.counts["images"]:
            place = f"annotations/instances_{split}.json"
            try:
                content = json.loads((self.root / place).read_bytes())
                images, annotations = list(content["images"]), list(content["annotations"])
                categories = [(item["id"], item["name"]) for item in content["categories"]]
            except (OSError, RecursionError, *WRONG) as error:
                yield place, f"cannot be read as COCO ({type(error).__name__})"
                continue
            if categories != list(enumerate(self.classes, start=1)):
                yield place, "its categories are not the classes of the export"
            for name, found in (("images", images), ("instances", annotations)):
                if len(found) != self.counts[name].get(split, 0):
                    yield place, f"has {len(found)} {name} instead of {self.counts[name].get(split, 0)}"
            yield from self._image_faults(place, split, images)
            yield from self._annotation_faults(place, annotations)

    def _image_faults(self, place: str, split: str, images: list[Any]) -> Iterator[Place]:
        named = set()
        for image in images:
            try:
                number, file_name = int(image["id"]), str(image["file_name"])
                size = (int(image["width"]), int(image["height"]))
            except WRONG:
                yield place, f"an image is not a COCO entry: {str(image)[:60]}"
                continue
            if number in self._images or not is_within(file_name) or file_name in named:
                yield place, f"image {number} ({file_name!r}) is there twice or lies elsewhere"
                continue
            named.add(file_name)
            name = f"images/{split}/{file_name}"
            self._images[number] = image
            self.found[str(number)] = name
            self.images += 1
            if self.is_left_out(name):
                self._sizes[number] = size
                continue
            try:
                self._sizes[number] = self.image_size(name)
                if self._sizes[number] != size:
                    yield name, f"has {self._sizes[number]} pixels, its entry says {size}"
            except ValueError as error:
                yield name, str(error)
        folder = self.root / "images" / split
        for path in sorted(folder.rglob("*")):
            if not path.is_dir() and path.relative_to(folder).as_posix() not in named:
                yield path.relative_to(self.root).as_posix(), f"is not named in {place}"

    def place_of(self, sample: ExportSample) -> str:
        return str(int(sample.row["number"]) + 1)

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
            except WRONG as error:
                yield place, f"annotation {str(annotation)[:40]}… cannot be used ({type(error).__name__})"
                continue
            self._annotations[image].append(annotation)

    def label_faults(self, name: str, sample: ExportSample) -> Iterator[Place]:
        number = int(sample.row["number"]) + 1
        image, annotations = self._images.get(number, {}), self._annotations[number]
        instances = list(read_labels(sample, len(self.classes)).objects())
        same = len(annotations) == len(instances) and all(map(_agree, annotations, instances))
        same &= image.get("file_name") == name.split("/", 2)[2]
        if not same or any(image.get(column) != sample.row.get(column) for column in ("prompt", "image_seed")):
            yield name, "its annotations are not those of the run's sample"


def _fits(annotation: dict[str, Any], width: int, height: int) -> bool:
    """Whether area and box are those of the segmentation."""
    pixels = decode(annotation["segmentation"], height, width)
    return annotation["area"] == np.count_nonzero(pixels) and tuple(annotation["bbox"]) == box_of(pixels)


def _agree(annotation: dict[str, Any], instance: Instance) -> bool:
    pixels = decode(annotation["segmentation"], *instance.pixels.shape)
    return annotation["category_id"] == instance.category and bool(np.array_equal(pixels, instance.pixels))
