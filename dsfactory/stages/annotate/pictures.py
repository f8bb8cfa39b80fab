"""The numbered list of a run's pictures, ``pictures.json``: a picture keeps its number when others are added."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, field_validator

from dsfactory.core.classes import ClassSpec, label_slug
from dsfactory.core.reading import read_text
from dsfactory.core.run import read_json
from dsfactory.core.section import Section, parse_section
from dsfactory.errors import UserError
from dsfactory.stages.prompts.mentions import plural
from dsfactory.storage.atomic import write_atomic

PICTURES = "pictures.json"

MAX_LIST = 256_000_000
"""Longest file of classes per picture, in bytes."""


class Picture(Section):
    """A picture to label."""

    name: str = Field(description="Relative to the folder of the pictures, with slashes.")
    classes: tuple[str, ...] | None = Field(
        None, description="The classes that it is said to show; null when the model is to judge."
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"the picture {name!r} does not lie in the folder of the pictures")
        return name


class PictureList(Section):
    """Content of ``pictures.json``; a picture's position is its sample number."""

    pictures: tuple[Picture, ...]


def read_pictures(run_path: Path) -> tuple[Picture, ...]:
    """The pictures of a run, none when it has not begun.

    Raises:
        UserError: the list cannot be read.
    """
    path = run_path / PICTURES
    if not path.exists():
        return ()
    return parse_section(PictureList, read_json(path, "restore it, or begin a new run"), str(path)).pictures


def write_pictures(run_path: Path, pictures: Sequence[Picture]) -> None:
    """Write the list in one visible step, unless it is there already."""
    content = PictureList(pictures=tuple(pictures)).model_dump(mode="json")
    data = json.dumps(content, indent=0).encode()
    path = run_path / PICTURES
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def merge_pictures(before: Sequence[Picture], found: Sequence[Picture], redo: bool) -> tuple[Picture, ...]:
    """The list that a run goes on with: what it had, then what is new.

    Args:
        before: the run's list.
        found: the pictures that are there now.
        redo: everything is made again, so that classes may have changed.

    Raises:
        UserError: a picture is said to show other classes than before, and ``redo`` is off.
    """
    now = {picture.name: picture for picture in found}
    known = {picture.name for picture in before}
    for picture in before:
        if not redo and now.get(picture.name, picture) != picture:
            raise UserError(
                f"{picture.name} was labelled as showing {_listed(picture)}, now it is said to show "
                f"{_listed(now[picture.name])}: add --redo to label all again, or name another --out"
            )
    kept = tuple(now.get(picture.name, picture) for picture in before)
    return kept + tuple(picture for picture in found if picture.name not in known)


def _listed(picture: Picture) -> str:
    return "whatever the model sees" if picture.classes is None else ", ".join(picture.classes) or "no class"


def read_image_classes(path: Path, classes: Sequence[ClassSpec]) -> dict[str, tuple[str, ...]]:
    """Which classes pictures show, from a file.

    A CSV file has a header with the columns ``file`` and ``classes``, the latter separated by semicolons; a JSON file
    is one object, ``{"a.jpg": ["dog", "bird"], "b.jpg": []}``. Names are relative to the folder of the pictures.

    Raises:
        UserError: unreadable, or a class is none of the run's.
    """
    text = read_text(path, "list of classes per picture", MAX_LIST)
    rows = _from_json(path, text) if path.suffix.lower() == ".json" else _from_csv(path, text)
    # The user may say "dogs" where the run has understood "dog", or the word where it has a label in another script.
    names = {label_slug(word): spec.name for spec in classes for word in (spec.word, plural(spec.word))}
    names |= {spec.slug: spec.name for spec in classes}
    found: dict[str, tuple[str, ...]] = {}
    for file, words in rows.items():
        unknown = [word for word in words if label_slug(word) not in names]
        if unknown:
            known = ", ".join(spec.name for spec in classes)
            raise UserError(f"{path}: {file[:100]} shows {unknown[0][:60]!r}, which is none of {known}")
        found[PurePosixPath(file).as_posix()] = tuple(dict.fromkeys(names[label_slug(word)] for word in words))
    return found


def _from_json(path: Path, text: str) -> Mapping[str, list[str]]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON") from error
    if not isinstance(content, dict) or not all(
        isinstance(words, list) and all(isinstance(word, str) for word in words) for words in content.values()
    ):
        raise UserError(f'{path}: write it as {{"a.jpg": ["dog", "bird"], "b.jpg": []}}')
    return content


def _from_csv(path: Path, text: str) -> Mapping[str, list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if not {"file", "classes"} <= set(reader.fieldnames or ()):
            raise UserError(f"{path}: the first line must name the columns file and classes")
        found: dict[str, list[str]] = {}
        for row in reader:
            if not row["file"]:
                raise UserError(f"{path}, line {reader.line_num}: it names no file")
            found[row["file"]] = [word for word in (row["classes"] or "").split(";") if word.strip()]
        return found
    except csv.Error as error:
        raise UserError(f"{path} is not CSV: is a quotation mark not closed?") from error
