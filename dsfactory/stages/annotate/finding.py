"""Which pictures there are to label, and which classes they are said to show."""

from collections.abc import Sequence
from pathlib import Path

from dsfactory.core.config import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.annotate.images import as_typed, find_images, read_image
from dsfactory.stages.annotate.pictures import Picture, read_image_classes


def find_pictures(images: Path, out: Path, image_classes: str | None, classes: Sequence[ClassSpec]) -> list[Picture]:
    """The pictures of a folder, with the classes that they are said to show.

    Args:
        images: the folder, or one picture.
        out: the run, which is left out if it lies in the folder.
        image_classes: the file that says which classes each picture shows; None for none.
        classes: the run's classes.

    Raises:
        UserError: there is none, or the list of their classes cannot be used.
    """
    names = find_images(images, leave_out=out)
    if image_classes is None:
        return [Picture(name=name) for name in names]
    said = read_image_classes(Path(image_classes), tuple(classes))
    lost = sorted(said.keys() - set(names))
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UserError(
            f"{as_typed(Path(image_classes))} names {lost[0][:100]}{more}, which is not in {as_typed(images)}"
        )
    return [Picture(name=name, classes=said.get(name)) for name in names]


def check_any(images: Path, found: Sequence[Picture]) -> None:
    """Make sure that there is something to label before anything is written.

    Raises:
        UserError: no picture can be read.
    """
    root = images if images.is_dir() else images.parent
    reason = ""
    for picture in found:
        try:
            read_image(root / picture.name)
            return
        except ValueError as error:
            reason = reason or f"{picture.name}: {error}"
    raise UserError(f"none of the {len(found)} pictures in {as_typed(images)} can be read ({reason})")
