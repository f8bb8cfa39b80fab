"""PASCAL VOC: index masks, object masks and boxes in the folders of VOC 2012."""

from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from dsfactory.core.png import voc_palette
from dsfactory.core.sample import VOID
from dsfactory.dataset.sample import ExportSample, Instance, Labels
from dsfactory.formats.png.write import grey_png
from dsfactory.formats.writer import SPLITS, DatasetWriter, ExportPlan, ImageFormat, Split, encode_image

_FOLDERS = ("JPEGImages", "SegmentationClass", "SegmentationClassRaw", "SegmentationObject", "Annotations")
_LISTS = ("Segmentation", "Main")
"""Segmentation readers take their list of images from the first, detection readers from the second."""


class VocWriter(DatasetWriter):
    """Writes the PASCAL VOC 2012 format (VOC2012 development kit, section 4).

    ``SegmentationClass`` and ``SegmentationObject`` are palette PNGs whose values are ids, with 0 background and 255
    void. ``SegmentationClassRaw`` holds the same class ids as greyscale, for readers that turn a palette into colours
    (``cv2.imread``). ``Annotations`` has a box for each object, in the order of the object ids, in pixels from 1 with
    both ends included. ``labelmap.txt`` names the colours as CVAT and Datumaro do.

    torchvision adds ``VOCdevkit/VOC2012`` to the root that it is given, so it finds exports to a folder of that name.
    """

    version: ClassVar[int] = 1
    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("jpg",)

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        for folder in (*_FOLDERS, *(f"ImageSets/{kind}" for kind in _LISTS)):
            (root / folder).mkdir(parents=True)
        self._lists = {
            subset: [self.stream(f"ImageSets/{kind}/{subset}.txt") for kind in _LISTS]
            for subset in (*SPLITS, "trainval")
        }
        self.write("labelmap.txt", _labelmap(plan.classes).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> int:
        image_name = f"{sample.key}.{self.plan.image_format}"
        annotation = self._annotation(image_name, labels)
        for instance in labels.objects():
            self._append_object(annotation, instance, labels)
        ElementTree.indent(annotation, space="\t")
        self.write(f"JPEGImages/{image_name}", encode_image(sample.image_png, self.plan.image_format))
        self.write(f"SegmentationClass/{sample.key}.png", sample.mask_png)
        self.write(f"SegmentationClassRaw/{sample.key}.png", grey_png(labels))
        self.write(f"SegmentationObject/{sample.key}.png", sample.instances_png)
        self.write(f"Annotations/{sample.key}.xml", ElementTree.tostring(annotation, encoding="utf-8") + b"\n")
        for subset in (split, "trainval"):
            for file in self._lists[subset]:
                file.write(f"{sample.key}\n".encode())
        return len(annotation.findall("object"))

    def finish(self) -> None:
        """Nothing ends a VOC dataset: each of its files is complete."""

    def _annotation(self, image_name: str, labels: Labels) -> ElementTree.Element:
        annotation = ElementTree.Element("annotation")
        _append(annotation, "folder", "VOC2012")
        _append(annotation, "filename", image_name)
        source = ElementTree.SubElement(annotation, "source")
        _append(source, "database", "synthetic, by dsfactory" if self.plan.drawn else "given pictures")
        _append(source, "annotation", "dsfactory")
        _append(source, "image", self.plan.model)
        size = ElementTree.SubElement(annotation, "size")
        _append(size, "width", labels.width)
        _append(size, "height", labels.height)
        _append(size, "depth", 3)
        _append(annotation, "segmented", 1)
        return annotation

    def _append_object(self, annotation: ElementTree.Element, instance: Instance, labels: Labels) -> None:
        x, y, width, height = instance.box
        at_border = x == 0 or y == 0 or x + width == labels.width or y + height == labels.height
        element = ElementTree.SubElement(annotation, "object")
        _append(element, "name", self.plan.classes[instance.category - 1])
        _append(element, "pose", "Unspecified")
        _append(element, "truncated", int(at_border))
        _append(element, "difficult", 0)
        box = ElementTree.SubElement(element, "bndbox")
        _append(box, "xmin", x + 1)
        _append(box, "ymin", y + 1)
        _append(box, "xmax", x + width)
        _append(box, "ymax", y + height)


def _append(parent: ElementTree.Element, name: str, value: str | int) -> None:
    ElementTree.SubElement(parent, name).text = str(value)


def _labelmap(classes: tuple[str, ...]) -> str:
    palette = voc_palette()
    names = {0: "background", **dict(enumerate(classes, start=1)), VOID: "void"}
    lines = ["# label:color_rgb:parts:actions"]
    for number, name in names.items():
        red, green, blue = palette[3 * number : 3 * number + 3]
        lines.append(f"{name}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"
