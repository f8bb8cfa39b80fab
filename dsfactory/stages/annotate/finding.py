"""Which pictures there are to label, and which classes they are said to show."""

from collections.abc import Sequence
from pathlib import Path

from dsfactory.core.classes import ClassSpec
from dsfactory.dataset.pictures import look_at, read_file
from dsfactory.errors import UserError
from dsfactory.stages.annotate.images import as_typed, find_images, unreadable
from dsfactory.stages.annotate.pictures import Picture, read_image_classes


def find_pictures(
    images: Path, out: Path, image_classes: str | None, classes: Sequence[ClassSpec]
) -> tuple[list[Picture], str]:
    """The pictures of a folder, with the classes that they are said to show.

    Args:
        images: the folder, or one picture.
        out: the run, which is left out if it lies in the folder.
        image_classes: the file that says which classes each picture shows; None for none.
        classes: the run's classes.

    Returns:
        The pictures, and a line about those that this machine has no library for; empty for none.

    Raises:
        UserError: there is none, or the list of their classes cannot be used.
    """
    every = find_images(images, leave_out=out)
    names = [name for name in every if not unreadable([name])]
    note = _passed_over(every)
    if not names:
        raise UserError(f"{as_typed(images)}: {note}")
    if image_classes is None:
        return [Picture(name=name) for name in names], note
    said = read_image_classes(Path(image_classes), tuple(classes))
    lost = sorted(said.keys() - set(every))
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UserError(
            f"{as_typed(Path(image_classes))} names {lost[0][:100]}{more}, which is not in {as_typed(images)}"
        )
    return [Picture(name=name, classes=said.get(name)) for name in names], note


def _passed_over(names: Sequence[str]) -> str:
    found = unreadable(names)
    if not found:
        return ""
    listed = " and ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
    advice = " ('pip install pillow-heif' reads HEIC)" if "HEIC" in found else ""
    return f"{listed} pictures are passed over: this machine has nothing to read them with{advice}"


def check_any(images: Path, found: Sequence[Picture]) -> None:
    """Make sure that there is something to label before anything is written.

    Raises:
        UserError: no picture can be read.
    """
    root = images if images.is_dir() else images.parent
    reason = ""
    for picture in found:
        try:
            look_at(read_file(root / picture.name))
            return
        except ValueError as error:
            reason = reason or f"{picture.name}: {error}"
    raise UserError(f"none of the {len(found)} pictures in {as_typed(images)} can be read ({reason})")
