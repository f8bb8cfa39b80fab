"""How what another tool wrote is written: told by the files that are there."""

from dsfactory.errors import UserError
from dsfactory.formats.reading.source import Source

_SIGNS = (
    ("voc", ("SegmentationClass/*.png",)),
    ("cvat", ("annotations.xml",)),
    ("png", ("ann_dir/*.png", "ann_dir/*/*.png")),
    ("coco", ("annotations/*.json", "*.json")),
    ("cvat", ("*.xml",)),
    ("png", ("*.png",)),
)
"""The first that is found counts: a VOC folder has XML too, and a COCO folder has PNGs."""


def format_of(source: Source) -> str:
    """The name of the format that a source is in.

    Raises:
        UserError: there is nothing that is read.
    """
    for name, patterns in _SIGNS:
        if source.find(*patterns):
            return name
    raise UserError(
        f"{source.path} holds nothing that can be brought back: annotations.xml (CVAT for images 1.1), a COCO .json, "
        "SegmentationClass (VOC), or PNG masks"
    )
