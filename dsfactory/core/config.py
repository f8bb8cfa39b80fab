"""Typed configuration: a section per stage, a sentence per field, one clear line for a mistake."""

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from dsfactory.core.flags import Panel, flag
from dsfactory.core.sample import MAX_CLASSES
from dsfactory.errors import UserError

ModelT = TypeVar("ModelT", bound=BaseModel)
SectionT = TypeVar("SectionT", bound=BaseModel)

MAX_NAME = 64
"""Longest class name in characters; a text encoder reads about 75 word pieces in all."""


class Section(BaseModel):
    """Base of all configuration. Frozen; unknown keys are errors.

    A field that does not change the output's bytes (a batch size, a device) is declared with
    ``json_schema_extra={"affects_output": False}`` and stays out of fingerprints. One that is about a single command
    has ``"saved": False`` beside it and is not kept with the run. A field that is a flag of the command line is
    declared with ``json_schema_extra=flag(…)``, which takes both; see :mod:`dsfactory.core.flags`.
    """

    also: ClassVar[tuple[str, ...]] = ()
    """Settings outside this section whose flags its command takes too, such as ``"generate.model"`` or ``"num"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def identity(self) -> dict[str, Any]:
        """The fields that decide the output's bytes, as JSON values."""
        return self.model_dump(mode="json", exclude=self._without_effect())

    @classmethod
    def _without_effect(cls) -> set[str]:
        names = set()
        for name, info in cls.model_fields.items():
            extra = info.json_schema_extra
            if isinstance(extra, dict) and extra.get("affects_output") is False:
                names.add(name)
        return names


def check_class_name(name: str) -> str:
    """Return a class name with tidy spaces, or say why it cannot be one.

    Words of Latin letters, digits, spaces, hyphens, apostrophes and ``&``; accents are fine. The text
    encoders of diffusion models read English, and names end up in file names.

    Raises:
        ValueError: one sentence for the user.
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
    for character in tidy:
        latin = character.isalpha() and unicodedata.name(character, "").startswith("LATIN ")
        if not (latin or character in "0123456789 -'&"):
            raise ValueError(
                f"the class name {shown!r} has the character {character!r}: use English words in Latin letters, "
                "digits, spaces, hyphens and apostrophes"
            )
    if not slug(tidy):
        raise ValueError(f"the class name {shown!r} has no letter or digit")
    return tidy


def slug(name: str) -> str:
    """A name as it may stand in a path: ASCII lower-case letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


class ClassSpec(Section):
    """A class to be drawn: the name that labels carry, and other words that mean it in captions."""

    name: str
    synonyms: tuple[str, ...] = ()

    _check_name = field_validator("name")(check_class_name)

    @field_validator("synonyms")
    @classmethod
    def _check_synonyms(cls, synonyms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_class_name(word) for word in synonyms)

    @property
    def slug(self) -> str:
        return slug(self.name)


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
    """``"dog,bird"`` as class specifications."""
    return [{"name": name} for name in text.split(",")]


def read_class_file(path: Path) -> list[dict[str, Any]]:
    """A class file: one class per line as ``name`` or ``name: synonym, synonym``; ``#`` starts a comment.

    Raises:
        UserError: the file cannot be read as UTF-8 text, or names too many classes.
    """
    classes: list[dict[str, Any]] = []
    for line in read_text(path, "class file").splitlines():
        content = line.partition("#")[0].strip()
        if content:
            name, _, rest = content.partition(":")
            synonyms = [word.strip() for word in rest.split(",") if word.strip()]
            classes.append({"name": name.strip(), "synonyms": synonyms})
        if len(classes) > MAX_CLASSES:
            raise UserError(f"class file {path} names too many classes: 8-bit masks hold {MAX_CLASSES}")
    return classes


def read_text(path: Path, what: str, limit: int = 1_000_000) -> str:
    """A small UTF-8 file, or what a pipe has to say, in full.

    Raises:
        UserError: it is missing, longer than ``limit`` bytes, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise UserError(f"{what} {path} has more than {limit / 1e6:g} MB: is it the right file?")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except ValueError as error:
        raise UserError(f"{what} {str(path)!r} cannot be read: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a dozen lines of them stand for more data than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, _ALIASES, self.get_mark())
        return super().compose_node(parent, index)


_ALIASES = "aliases (*name) are not read here: write the values out"
MAX_YAML = 256_000
"""Longest configuration in bytes; parsing takes seconds per megabyte."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A configuration file as a mapping.

    Raises:
        UserError: unreadable, not YAML, or not a mapping at the top.
    """
    text = read_text(path, "config", MAX_YAML)
    try:
        content = yaml.load(text, _Loader)
    except Exception as error:  # PyYAML lets KeyError, AttributeError and more through for bad scalars
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        why = f": {_ALIASES}" if getattr(error, "problem", None) == _ALIASES else ""
        raise UserError(f"config {path} is not valid YAML{place}{why}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UserError(f"config {path} must hold 'name: value' lines at the top, such as 'classes: [dog, bird]'")
    return content


def parse_section(kind: type[ModelT], values: Mapping[str, Any], where: str) -> ModelT:
    """Validate values against a section.

    Args:
        kind: the section's class.
        values: names to values, as read from YAML or flags.
        where: how to name the source in an error, e.g. ``"run.yaml"``.

    Raises:
        UserError: the first mistake in one line; a misspelt key names the nearest one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_mistake(kind, error)}") from error


def _first_mistake(kind: type[BaseModel], error: ValidationError) -> str:
    mistake = error.errors(include_url=False)[0]
    path = [_printable(str(part)) for part in mistake["loc"]]
    dotted = ".".join(path)
    if mistake["type"] == "extra_forbidden":
        known = list(_fields_at(kind, path[:-1]))
        near = difflib.get_close_matches(path[-1], known, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
        return f"there is no setting '{dotted}': {advice}"
    if mistake["type"] == "value_error":
        return str(mistake["ctx"]["error"])
    value = _Repr().repr(mistake["input"])
    shown = value if len(value) <= 60 else value[:57] + "…"
    return f"{dotted}{': ' if dotted else ''}{mistake['msg'].lower()} (got {shown})"


class _Repr(reprlib.Repr):
    """Short for any value: neither deep nor long ones are written out before they are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 80, 80


def _printable(name: str) -> str:
    """A key as it may be shown: no terminal escapes, no megabytes."""
    shown = name if len(name) <= 60 else name[:57] + "…"
    return "".join(character if character.isprintable() else "?" for character in shown)


def _fields_at(kind: type[BaseModel], path: list[str]) -> Mapping[str, Any]:
    fields = kind.model_fields
    for part in path:
        annotation = fields[part].annotation if part in fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]  # X, or X | None
        if not kinds:
            return {}
        fields = kinds[0].model_fields
    return fields


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def plain_classes(value: Any) -> Any:
    """Accept ``[dog, bird]`` and ``{dog: [puppy], bird: []}`` beside full specifications."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, Mapping):
        return tuple({"name": name, "synonyms": synonyms or ()} for name, synonyms in value.items())
    if isinstance(value, list | tuple):
        return tuple({"name": item} if isinstance(item, str) else item for item in value)
    return value


MAX_NUM = 10_000_000
"""Most images of a class."""


def check_num(value: Any) -> int | str:
    """Images per class as a number or as ``"dog=300,bird=50"``, which may be given as a mapping, too.

    Raises:
        ValueError: one sentence for the user.
    """
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={count}" for name, count in value.items())
    text = str(value)
    counts = _per_class(text) if "=" in text else {"": text}
    for count in counts.values():
        if not str(count).strip().isdecimal() or not 1 <= int(count) <= MAX_NUM:
            given = f"num {text[:60]!r}"
            raise ValueError(f"{given}: give images per class from 1 to {MAX_NUM:,}, such as 100 or dog=300,bird=50")
    return ",".join(f"{name}={count}" for name, count in counts.items()) if "=" in text else int(text)


def _per_class(text: str) -> dict[str, Any]:
    """``"dog=300,bird=50"`` by class name."""
    counts: dict[str, Any] = {}
    for part in text.split(","):
        name, _, count = part.rpartition("=")
        counts[name.strip()] = int(count) if count.strip().isdecimal() and len(count) < 20 else count
    return counts


class Document(Section):
    """A section that is saved as YAML."""

    def to_yaml(self) -> str:
        """The resolved values as YAML text, keys in the order of declaration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)

    @classmethod
    def read(cls, path: Path) -> Self:
        return parse_section(cls, read_yaml(path), str(path))


class RunSettings(Document):
    """What every run has; the sections of the stages are added by :meth:`dsfactory.core.registry.Registry.settings`."""

    classes: Annotated[tuple[ClassSpec, ...], BeforeValidator(plain_classes), AfterValidator(check_classes)] = Field(
        (), validate_default=True, description="Class names in label order; each may have synonyms."
    )
    num: Annotated[int | str, BeforeValidator(check_num)] = Field(
        100,
        description="Images per class: one number, or dog=300,bird=50.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="Images per class that the run is to have, or dog=300,bird=50. What is there counts.",
            metavar="N",
        ),
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Seed of the run. Each image's seed follows from it.",
        json_schema_extra=flag(Panel.WHAT),
    )  # fmt: skip
    shard_size: int = Field(
        32, ge=1, le=10_000, description="Samples per shard: what a killed run may lose.",
        json_schema_extra=flag(Panel.OUTPUT),
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _fill_null_sections(cls, values: Any) -> Any:
        """A section that is null has its defaults: older runs say ``annotate: null``."""
        return {k: v for k, v in values.items() if v is not None} if isinstance(values, Mapping) else values

    @property
    def counts(self) -> dict[str, int]:
        """Images that each class is to have.

        Raises:
            UserError: ``num`` names a class that the run does not have, or leaves one out.
        """
        names = [item.name for item in self.classes]
        if isinstance(self.num, int):
            return dict.fromkeys(names, self.num)
        counts = _per_class(self.num)
        for name in counts:
            if name not in names:
                raise UserError(f"num: the run has no class {name!r}: it has {', '.join(names)}")
        for name in names:
            if name not in counts:
                raise UserError(f"num: how many images of {name}? Write --num {self.num},{name}=100")
        return counts

    def of(self, kind: type[SectionT]) -> SectionT:
        """The section of a class, such as ``settings.of(RefineConfig)``."""
        for name, info in type(self).model_fields.items():
            if info.annotation is kind:
                return cast(SectionT, getattr(self, name))
        raise KeyError(kind.__name__)

    def saved(self) -> Self:
        """The settings as they are kept with a run: without what is about a single command."""
        updates = {}
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                fields = type(section).model_fields.items()
                once = {field: info.default for field, info in fields if not is_saved(info)}
                updates[name] = section.model_copy(update=once) if once else section
        return self.model_copy(update=updates)


def is_saved(info: FieldInfo) -> bool:
    """Whether a setting is kept with a run."""
    return not (isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("saved") is False)
