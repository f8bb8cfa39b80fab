"""What a PASCAL VOC set is made of: its folders, its lists, and ``labelmap.txt``, which names labels and colours."""

from collections.abc import Iterable

from dsfactory.core.sample import VOID_NAMES as VOID_NAMES
from dsfactory.dataset.sample import Instance
from dsfactory.dataset.split import Split
from dsfactory.errors import UserError
from dsfactory.formats.colours import Colour, voc_colour

FOLDERS = {
    "JPEGImages": "jpg",
    "SegmentationClass": "png",
    "SegmentationClassRaw": "png",
    "SegmentationObject": "png",
    "Annotations": "xml",
}
"""Folders of an export, with the extension of their files: one for each sample."""

LISTS = ("Segmentation", "Main")
"""Segmentation readers take their list of images from the first, detection readers from the second."""

TRAINVAL = "trainval"
LABELMAP = "labelmap.txt"


def subsets(splits: Iterable[Split]) -> tuple[str, ...]:
    """Names of the lists: one per split, and one of train and val together."""
    return (*splits, TRAINVAL)


def list_name(kind: str, subset: str) -> str:
    """The list of a subset's images, for one of LISTS."""
    return f"ImageSets/{kind}/{subset}.txt"


def box_corners(instance: Instance) -> dict[str, int]:
    """An object's box as VOC has it: in pixels from 1, both ends included."""
    x, y, width, height = instance.box
    return {"xmin": x + 1, "ymin": y + 1, "xmax": x + width, "ymax": y + height}


def labelmap_text(names: dict[int, str]) -> str:
    """A label map, as CVAT and Datumaro write it, of labels by id in the colours of VOC."""
    lines = ["# label:color_rgb:parts:actions"]
    lines += [f"{name}:{','.join(map(str, voc_colour(label)))}::" for label, name in names.items()]
    return "\n".join(lines) + "\n"


def parse_labelmap(text: str, place: str) -> list[tuple[str, Colour]]:
    """Names and colours of a label map: a line ``name:red,green,blue:parts:actions`` per label, ``#`` for comments.

    Raises:
        UserError: a line is none; names ``place`` and the line.
    """
    labels = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        try:
            red, green, blue = (int(value) for value in rest.partition(":")[0].split(","))
        except ValueError:
            raise UserError(f"{place}, line {number}: write a label as 'name:red,green,blue::'") from None
        if not name or not all(0 <= value <= 255 for value in (red, green, blue)):
            raise UserError(f"{place}, line {number}: write a label as 'name:red,green,blue::', colours from 0 to 255")
        labels.append((name, (red, green, blue)))
    return labels
