"""How what another tool wrote is written: told by the files that are there."""

import re

from dsfactory.errors import UserError
from dsfactory.formats.reading.source import Source

_OBJECTS = re.compile(rb"\s*\[\s*\{")

_SIGNS = (
    ("voc", ("SegmentationClass/*.png",)),
    ("cvat", ("annotations.xml",)),
    ("labelstudio", ("tasks.json",)),
    ("png", ("ann_dir/*.png", "ann_dir/*/*.png")),
    ("coco", ("annotations/*.json", "*.json")),
    ("cvat", ("*.xml",)),
    ("png", ("*.png",)),
)
"""The first that is found counts: a VOC folder has XML too, and a COCO folder has PNGs. A JSON that is a
list of objects is Label Studio's."""


def format_of(source: Source) -> str:
    """The name of the format that a source is in.

    Raises:
        UserError: there is nothing that is read.
    """
    for name, patterns in _SIGNS:
        if found := source.find(*patterns):
            listed = name == "coco" and len(found) == 1 and _OBJECTS.match(source.read(found[0]))
            return "labelstudio" if listed else name
    raise UserError(
        f"{source.path} holds nothing that can be brought back: annotations.xml (CVAT for images 1.1), a JSON of COCO "
        "or Label Studio, SegmentationClass (VOC), or PNG masks"
    )
