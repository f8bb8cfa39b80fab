"""Examine a PASCAL VOC export."""

from collections.abc import Iterator
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png
from dsfactory.dataset.label_faults import instance_faults, mask_faults
from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.formats.checker import ContentCheck, Place, is_within
from dsfactory.formats.voc.layout import FOLDERS, LISTS, TRAINVAL, box_corners, list_name, subsets


class VocCheck(ContentCheck):
    """Reads the lists under ``ImageSets`` and what they name."""

    lists: ClassVar[str] = "ImageSets"

    def faults(self) -> Iterator[Place]:
        yield from self._list_faults()
        self.images = len(self.found)
        for key in sorted(self.found):
            yield from self._sample_faults(key)
        for folder, extension in FOLDERS.items():
            files = (path for path in (self.root / folder).rglob("*") if not path.is_dir())
            names = {path.relative_to(self.root / folder).as_posix() for path in files}
            for name in sorted(names - {f"{key}.{extension}" for key in self.found}):
                yield f"{folder}/{name}", "is on no list"

    def _list_faults(self) -> Iterator[Place]:
        for kind in LISTS:
            lists: dict[str, list[str]] = {}
            for subset in subsets(self.counts["images"]):  # type: ignore[arg-type]
                place = list_name(kind, subset)
                try:
                    lists[subset] = [*filter(None, (self.root / place).read_text(encoding="utf-8").split("\n"))]
                except (OSError, UnicodeDecodeError) as error:
                    yield place, f"cannot be read ({type(error).__name__})"
                    lists[subset] = []
                strange = [name for name in lists[subset] if not is_within(name)]
                if strange:
                    yield place, f"names {strange[0][:40]!r}, which is no sample"
                images = self.counts["images"]
                expected = images["train"] + images["val"] if subset == TRAINVAL else images[subset]
                if len(lists[subset]) != expected:
                    yield place, f"names {len(lists[subset])} images instead of {expected}"
            if sorted(lists["train"] + lists["val"]) != sorted(lists["trainval"]):
                yield list_name(kind, "trainval"), "is not train and val together"
            names = {name for listed in lists.values() for name in listed if is_within(name)}
            self.found |= {name: f"JPEGImages/{name}.jpg" for name in sorted(names)}

    def _sample_faults(self, key: str) -> Iterator[Place]:
        image, mask_place, raw_place, object_place, box_place = (
            f"{folder}/{key}.{extension}" for folder, extension in FOLDERS.items()
        )
        try:
            mask = self._mask(place := mask_place)
            size = mask.shape[::-1] if self.is_left_out(image) else self.image_size(place := image)
            wrong = [*mask_faults(mask, size, range(1, len(self.classes) + 1))]
            instances = self._mask(place := object_place)
            wrong += instance_faults(mask, instances)
            if not np.array_equal(self._mask(place := raw_place), mask):
                yield place, f"differs from {mask_place}"
            if not wrong and self._boxes(place := box_place) != self._expected_boxes(Labels(mask, instances)):
                yield place, f"its objects are not those of {object_place}"
        except ValueError as error:
            yield place, str(error)
            return
        for text in wrong:
            yield mask_place, text

    def _mask(self, place: str) -> NDArray[np.uint8]:
        return decode_index_png(self.read(place))

    def _boxes(self, place: str) -> list[tuple[str, ...]]:
        try:
            annotation = ElementTree.fromstring(self.read(place))
        except ElementTree.ParseError as error:
            raise ValueError(f"is not readable XML ({error})") from error
        names = ("name", *(f"bndbox/{corner}" for corner in ("xmin", "ymin", "xmax", "ymax")))
        return [tuple(item.findtext(name, "") for name in names) for item in annotation.iter("object")]

    def _expected_boxes(self, labels: Labels) -> list[tuple[str, ...]]:
        return [
            (self.classes[instance.category - 1], *map(str, box_corners(instance).values()))
            for instance in labels.objects()
        ]

    def label_faults(self, name: str, sample: ExportSample) -> Iterator[Place]:
        for folder, data in (("SegmentationClass", sample.mask_png), ("SegmentationObject", sample.instances_png)):
            place = f"{folder}/{sample.name}.png"
            if (self.root / place).exists() and (self.root / place).read_bytes() != data:
                yield place, "is not the mask of the run's sample"
