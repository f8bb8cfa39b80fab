"""Examine a PASCAL VOC export."""

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

import numpy as np

from dsfactory.core.png import decode_index_png
from dsfactory.dataset.label_faults import instance_faults, mask_faults
from dsfactory.dataset.sample import Labels
from dsfactory.formats import ExportSample
from dsfactory.formats.checker import ExportCheck, Place
from dsfactory.formats.writer import SPLITS

_FOLDERS = {
    "JPEGImages": "jpg",
    "SegmentationClass": "png",
    "SegmentationClassRaw": "png",
    "SegmentationObject": "png",
    "Annotations": "xml",
}


class VocCheck(ExportCheck):
    """Reads the lists under ``ImageSets`` and what they name."""

    def faults(self) -> Iterator[Place]:
        self._keys: set[str] = set()
        yield from self._list_faults()
        for key in sorted(self._keys):
            self.images += 1
            yield from self._sample_faults(key)
        for folder, extension in _FOLDERS.items():
            names = {path.name for path in (self.root / folder).glob("*")}
            for name in sorted(names - {f"{key}.{extension}" for key in self._keys}):
                yield f"{folder}/{name}", "is on no list"

    def _list_faults(self) -> Iterator[Place]:
        for kind in ("Segmentation", "Main"):
            lists: dict[str, list[str]] = {}
            for subset in (*SPLITS, "trainval"):
                place = f"ImageSets/{kind}/{subset}.txt"
                try:
                    lists[subset] = (self.root / place).read_text(encoding="utf-8").split()
                except (OSError, UnicodeDecodeError) as error:
                    yield place, f"cannot be read ({type(error).__name__})"
                    lists[subset] = []
                strange = [key for key in lists[subset] if not (key.isascii() and key.isdigit())]
                if strange:
                    yield place, f"names {strange[0][:40]!r}, which is no sample"
                expected = self.counts["images"].get(subset, sum(self.counts["images"].values()))
                if len(lists[subset]) != expected:
                    yield place, f"names {len(lists[subset])} images instead of {expected}"
            if sorted(lists["train"] + lists["val"]) != sorted(lists["trainval"]):
                yield f"ImageSets/{kind}/trainval.txt", "is not train and val together"
            self._keys |= {key for keys in lists.values() for key in keys if key.isascii() and key.isdigit()}

    def _sample_faults(self, key: str) -> Iterator[Place]:
        image, mask_place, object_place = (
            f"JPEGImages/{key}.jpg", f"SegmentationClass/{key}.png", f"SegmentationObject/{key}.png",
        )  # fmt: skip
        place = image
        try:
            size = self.image_size(image)
            place = mask_place
            mask = self._mask(place)
            wrong = [*mask_faults(mask, size, range(1, len(self.classes) + 1))]
            place = object_place
            instances = self._mask(place)
            wrong += instance_faults(mask, instances)
            place = f"SegmentationClassRaw/{key}.png"
            if not np.array_equal(self._mask(place), mask):
                yield place, f"differs from {mask_place}"
            place = f"Annotations/{key}.xml"
            if not wrong and self._boxes(place) != self._expected_boxes(Labels(mask, instances)):
                yield place, f"its objects are not those of {object_place}"
        except ValueError as error:
            yield place, str(error)
            return
        for text in wrong:
            yield mask_place, text

    def _mask(self, place: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        try:
            return decode_index_png((self.root / place).read_bytes())
        except OSError as error:
            raise ValueError("is missing" if isinstance(error, FileNotFoundError) else str(error)) from error

    def _boxes(self, place: str) -> list[tuple[str, ...]]:
        try:
            annotation = ElementTree.parse(self.root / place)
        except FileNotFoundError:
            raise ValueError("is missing") from None
        except (OSError, ElementTree.ParseError) as error:
            raise ValueError(f"is not readable XML ({error})") from error
        names = ("name", "bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")
        return [tuple(item.findtext(name, "") for name in names) for item in annotation.iter("object")]

    def _expected_boxes(self, labels: Labels) -> list[tuple[str, ...]]:
        boxes = []
        for instance in labels.objects():
            x, y, width, height = instance.box
            box = (str(value) for value in (x + 1, y + 1, x + width, y + height))
            boxes.append((self.classes[instance.category - 1], *box))
        return boxes

    def compare(self, samples: Iterable[ExportSample]) -> Iterator[Place]:
        left = set(self._keys)
        for sample in samples:
            if sample.key not in left:
                yield "ImageSets", f"sample {sample.key} of the run is on no list"
                continue
            left.remove(sample.key)
            image = f"JPEGImages/{sample.key}.jpg"
            if not self.same_image(image, sample):
                yield image, "is not the image of the run's sample"
            for folder, data in (("SegmentationClass", sample.mask_png), ("SegmentationObject", sample.instances_png)):
                path = self.root / folder / f"{sample.key}.png"
                if path.exists() and path.read_bytes() != data:
                    yield f"{folder}/{sample.key}.png", "is not the mask of the run's sample"
        for key in sorted(left):
            yield f"JPEGImages/{key}.jpg", "is no sample of the run"
