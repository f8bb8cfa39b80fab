"""Class names: what labels are called, what models read, and how both are given."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from dsfactory.core.reading import read_text
from dsfactory.core.sample import MAX_CLASSES
from dsfactory.core.section import Section
from dsfactory.errors import UserError

MAX_NAME = 64
"""Longest class name in characters; a text encoder reads about 75 word pieces in all."""


def check_class_name(name: str) -> str:
    """Return a class name with tidy spaces, or say why it cannot be one.

    Words of Latin letters, digits, spaces, hyphens, apostrophes and ``&``; accents are fine. The text
    encoders of diffusion models read English, and names end up in file names.

    Raises:
        ValueError: one sentence for the user.
    """
    tidy, shown = _tidy(name)
    for character in tidy:
        latin = character.isalpha() and unicodedata.name(character, "").startswith("LATIN ")
        if not (latin or character in "0123456789 -'&"):
            raise ValueError(
                f"the class name {shown!r} has the character {character!r}: use English words in Latin letters, "
                "digits, spaces, hyphens and apostrophes, or say after a label what it is in English, as in '狗=dog'"
            )
    if not slug(tidy):
        raise ValueError(f"the class name {shown!r} has no letter or digit")
    return tidy


def check_label(name: str) -> str:
    """Return a label with tidy spaces, or say why it cannot be one: a name in any script that nothing has to read.

    Raises:
        ValueError: one sentence for the user.
    """
    tidy, shown = _tidy(name)
    for character in tidy:
        if character in ',;:=#"' or not (character.isprintable() or character in _JOINERS):
            raise ValueError(f"the label {shown!r} has the character {character!r}: use letters, digits and spaces")
    if not any(character.isalnum() for character in tidy):
        raise ValueError(f"the class name {shown!r} has no letter or digit")
    return tidy


_JOINERS = "\u200c\u200d"
"""Characters without a width that Persian and Indian scripts need."""


def _tidy(name: str) -> tuple[str, str]:
    """A name with tidy spaces, and as a message shows it.

    Raises:
        ValueError: it is empty, too long, or a path.
    """
    # Cut first: normalising a long run of accents takes time quadratic in its length.
    tidy = " ".join(unicodedata.normalize("NFC", name[: 16 * MAX_NAME]).split())
    if len(name) > 16 * MAX_NAME:
        raise ValueError(f"the class name {tidy[:37]!r}… has {len(name)} characters: the limit is {MAX_NAME}")
    shown = tidy if len(tidy) <= 40 else f"{tidy[:37]}…"
    if not tidy:
        raise ValueError("a class name is empty: write words such as 'dog' or 'traffic light'")
    if len(tidy) > MAX_NAME:
        raise ValueError(f"the class name {shown!r} has {len(tidy)} characters: the limit is {MAX_NAME}")
    if "/" in tidy or "\\" in tidy:
        raise ValueError(f"the class name {shown!r} looks like a path: write words, or use --classes-file FILE")
    return tidy, shown


def is_readable(name: str) -> bool:
    """Whether a model's text encoder can read a name."""
    try:
        check_class_name(name)
    except ValueError:
        return False
    return True


def label_slug(name: str) -> str:
    """A label in any script as it may stand in a path: what of it is ASCII, and a hash where that is not all."""
    if is_readable(name):
        return slug(name)
    text = unicodedata.normalize("NFC", name[: 16 * MAX_NAME])
    return f"{slug(text)[:40] or 'class'}-{hashlib.blake2b(text.encode(errors='replace'), digest_size=4).hexdigest()}"


def slug(name: str) -> str:
    """A name as it may stand in a path: ASCII lower-case letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


class ClassSpec(Section):
    """A class to be drawn: the name that labels carry, and other words that mean it in captions.

    A name that no text encoder reads is a label only: the synonyms are what the model reads, the first of them above
    all. ``only_label`` says the same of a name in Latin letters ("Hund").
    """

    name: str
    synonyms: tuple[str, ...] = ()
    only_label: bool = False

    _check_name = field_validator("name")(check_label)

    @model_validator(mode="before")
    @classmethod
    def _mark_label(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("synonyms") and isinstance(name := values.get("name"), str):
            return values if is_readable(name) else {**values, "only_label": True}
        return values

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        if not self.only_label:
            check_class_name(self.name)
        elif not self.synonyms:
            raise ValueError(f"the class {self.name!r} is a label only: say what it is in English, as in '狗=dog'")
        return self

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The mark only where it is set: runs that were made before it existed have none."""
        values: dict[str, Any] = handler(self)
        return values if self.only_label else {name: value for name, value in values.items() if name != "only_label"}

    @field_validator("synonyms")
    @classmethod
    def _check_synonyms(cls, synonyms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_class_name(word) for word in synonyms)

    @property
    def slug(self) -> str:
        return label_slug(self.name)

    @property
    def word(self) -> str:
        """What the model reads."""
        return self.synonyms[0] if self.only_label else self.name


def check_classes(classes: tuple[ClassSpec, ...]) -> tuple[ClassSpec, ...]:
    """A non-empty list of distinct classes, at most 254.

    Raises:
        ValueError: one sentence for the user.
    """
    if not classes:
        raise ValueError("no class is named: use --classes dog,bird or --classes-file FILE")
    if len(classes) > MAX_CLASSES:
        raise ValueError(f"{len(classes)} classes are too many: 8-bit masks hold {MAX_CLASSES}")
    seen: dict[str, str] = {}
    for item in classes:
        if item.slug in seen:
            raise ValueError(f"the class {item.name!r} is named twice (as {seen[item.slug]!r})")
        seen[item.slug] = item.name
    return classes


def parse_class_list(text: str) -> list[dict[str, Any]]:
    """``"dog,bird"`` or ``"狗=dog,bird"`` as class specifications; before ``=`` stands a label, after it what it is."""
    return [_spec(item) for item in text.split(",")]


def _spec(text: str) -> dict[str, Any]:
    label, equals, word = text.partition("=")
    return {"name": label.strip(), "synonyms": [word.strip()], "only_label": True} if equals else {"name": text}


def read_class_file(path: Path) -> list[dict[str, Any]]:
    """A class file: one class per line as ``name``, ``name: synonym, synonym`` or ``label = name, synonym``.

    ``#`` starts a comment.

    Raises:
        UserError: the file cannot be read as UTF-8 text, or names too many classes.
    """
    classes: list[dict[str, Any]] = []
    for line in read_text(path, "class file").splitlines():
        content = line.partition("#")[0].strip()
        if content:
            name, mark, rest = (*re.split("([:=])", content, maxsplit=1), "", "")[:3]
            synonyms = [word.strip() for word in rest.split(",") if word.strip()]
            only = {"only_label": True} if mark == "=" else {}
            classes.append({"name": name.strip(), "synonyms": synonyms, **only})
        if len(classes) > MAX_CLASSES:
            raise UserError(f"class file {path} names too many classes: 8-bit masks hold {MAX_CLASSES}")
    return classes


def plain_classes(value: Any) -> Any:
    """Accept ``[dog, 狗=dog]`` and ``{dog: [puppy], 狗: [dog]}`` beside full specifications."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, Mapping):
        return tuple({"name": name, "synonyms": synonyms or ()} for name, synonyms in value.items())
    if isinstance(value, list | tuple):
        return tuple(_spec(item) if isinstance(item, str) else item for item in value)
    return value
