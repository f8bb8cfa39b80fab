"""Finding pictures in folders that come from anywhere. How they are read is :mod:`dsfactory.dataset.pictures`."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dsfactory.dataset.pictures import readable_kinds
from dsfactory.errors import UserError

EXTENSIONS = {
    ".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp", ".bmp": "bmp", ".tif": "tif", ".tiff": "tif",
    ".gif": "gif", ".avif": "avif", ".heic": "heic", ".heif": "heic",
}  # fmt: skip
"""What a picture's name ends in, in any case, and what kind it is."""


def find_images(root: Path, leave_out: Path) -> list[str]:
    """Names of the pictures below a folder, relative to it, with slashes, sorted.

    Links to folders are followed, each folder once. Hidden files and folders are passed over, and so is everything
    that is not named like a picture (:data:`EXTENSIONS`). A file given as ``root`` is taken whatever its name.

    Args:
        root: a folder or a file.
        leave_out: a folder whose content is none of them (the run, when it lies among the pictures).

    Raises:
        UserError: nothing is there, a folder cannot be read, or there is no picture.
    """
    if not os.path.exists(root):
        raise UserError(f"{as_typed(root)} is not there: name a folder of pictures, or a picture")
    if not os.path.isdir(root):
        return [root.name]
    names = sorted(_walk(root, os.path.realpath(leave_out)))  # of a link to itself too, where Path.resolve raises
    if not names:
        raise UserError(f"no picture in {as_typed(root)}: dsfactory looks for names in {', '.join(EXTENSIONS)}")
    return names


def as_typed(path: Path) -> str:
    """A path without the folder in which the command was given, for messages: settings keep the whole path."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def unreadable(names: Iterable[str]) -> Counter[str]:
    """How many of the pictures are of which kind that cannot be read on this machine, by its name in capitals."""
    kinds = (EXTENSIONS.get(PurePosixPath(name).suffix.lower(), "") for name in names)
    missing = set(EXTENSIONS.values()) - readable_kinds()
    return Counter(kind.upper() for kind in kinds if kind in missing)


def _walk(root: Path, leave_out: str) -> Iterator[str]:
    def closed(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    top_place = os.path.realpath(root)
    linked = {top_place, leave_out}  # where links have led: one may lead back, or to where another has led
    for top, folders, files in os.walk(root, onerror=closed, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(Path(top, name), top_place, leave_out, linked)]
        for name in files:
            if name[0] != "." and name.lower().endswith(tuple(EXTENSIONS)):
                yield PurePosixPath(top, name).relative_to(PurePosixPath(root)).as_posix()


def _is_new(folder: Path, root: str, leave_out: str, linked: set[str]) -> bool:
    """Whether a folder is to be looked into: not one that was, or will be where it really lies."""
    place = os.path.realpath(folder)
    if folder.name[0] == "." or place == leave_out:
        return False
    if place.startswith(f"{root}{os.sep}"):
        return not folder.is_symlink()
    if place in linked:
        return False
    linked.add(place)
    return True
