"""PASCAL VOC: index masks, object masks and boxes in the folders of VOC 2012."""

from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from dsfactory.dataset.sample import ExportSample, Instance, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.png.write import grey_png
from dsfactory.formats.voc.layout import (
    FOLDERS,
    LABELMAP,
    LISTS,
    TRAINVAL,
    box_corners,
    labelmap_text,
    list_name,
    subsets,
)
from dsfactory.formats.writer import DatasetWriter, ExportPlan, ImageFormat


class VocWriter(DatasetWriter):
    """Writes the PASCAL VOC 2012 format (VOC2012 development kit, section 4).

    ``SegmentationClass`` and ``SegmentationObject`` are palette PNGs whose values are ids, with 0 background and 255
    void. ``SegmentationClassRaw`` holds the same class ids as greyscale, for readers that turn a palette into colours
    (``cv2.imread``). ``Annotations`` has a box for each object, in the order of the object ids, in pixels from 1 with
    both ends included. ``labelmap.txt`` names the colours as CVAT and Datumaro do.

    torchvision adds ``VOCdevkit/VOC2012`` to the root that it is given, so it finds exports to a folder of that name.
    """

    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("jpg",)
    uniform: ClassVar[bool] = True
    folders: ClassVar[tuple[str, ...]] = (*FOLDERS, *(f"ImageSets/{kind}" for kind in LISTS))
    has_checksums: ClassVar[bool] = False

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        self._lists = {
            subset: [self.stream(list_name(kind, subset)) for kind in LISTS] for subset in subsets(plan.splits)
        }
        self.write(LABELMAP, labelmap_text(plan.names).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        name = self.write_image("JPEGImages", sample)
        annotation = self._annotation(name, sample.source, labels)
        for instance in labels.objects():
            self._append_object(annotation, instance, labels)
        ElementTree.indent(annotation, space="\t")
        contents = (
            sample.mask_png, grey_png(labels), sample.instances_png,
            ElementTree.tostring(annotation, encoding="utf-8") + b"\n",
        )  # fmt: skip
        for (folder, extension), data in zip(list(FOLDERS.items())[1:], contents, strict=True):
            self.write(f"{folder}/{sample.name}.{extension}", data)
        for subset in (split,) if split == "test" else (split, TRAINVAL):
            for file in self._lists[subset]:
                file.write(f"{sample.name}\n".encode())

    def _annotation(self, image_name: str, own: str, labels: Labels) -> ElementTree.Element:
        annotation = ElementTree.Element("annotation")
        _append(annotation, folder="VOC2012", filename=image_name)
        if own:
            _append(annotation, path=own)
        origin = "synthetic, by dsfactory" if self.plan.drawn else "given pictures"
        source = ElementTree.SubElement(annotation, "source")
        _append(source, database=origin, annotation="dsfactory", image=self.plan.model)
        size = ElementTree.SubElement(annotation, "size")
        _append(size, width=labels.width, height=labels.height, depth=3)
        _append(annotation, segmented=1)
        return annotation

    def _append_object(self, annotation: ElementTree.Element, instance: Instance, labels: Labels) -> None:
        corners = box_corners(instance)
        at_border = (
            1 in (corners["xmin"], corners["ymin"])
            or corners["xmax"] == labels.width
            or corners["ymax"] == labels.height
        )
        element = ElementTree.SubElement(annotation, "object")
        name = self.plan.classes[instance.category - 1]
        _append(element, name=name, pose="Unspecified", truncated=int(at_border), difficult=0)
        _append(ElementTree.SubElement(element, "bndbox"), **corners)


def _append(parent: ElementTree.Element, **children: str | int) -> None:
    for name, value in children.items():
        ElementTree.SubElement(parent, name).text = str(value)
