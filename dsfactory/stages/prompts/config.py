"""Settings of the prompts stage."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section

ATTRIBUTES = ("style", "scene", "weather")
"""What can be steered beside the classes."""
DOMAIN = "domain"
"""Column of the domain, in runs that ask for some."""
MAX_POOL = 1000
"""Captions ranked per class where the settings say no number."""
MAX_WISH = 60
"""Longest value of an attribute in characters."""


def _split(value: Any) -> Any:
    """``"in the snow, at night"`` as a list; an empty text is an empty list."""
    return tuple(value.split(",")) if isinstance(value, str) and value.strip() else value or ()


def _check_wishes(values: tuple[str, ...]) -> tuple[str, ...]:
    tidy = tuple(" ".join(value.split()) for value in values)
    for value in tidy:
        if not any(character.isalnum() for character in value):
            raise ValueError(f"an attribute {value!r} has no word: write values such as 'in the snow, at night'")
        if len(value) > MAX_WISH or not value.isprintable() or "{" in value or "}" in value:
            raise ValueError(f"the attribute {value[:40]!r} must be plain words, at most {MAX_WISH} characters")
    if len(set(tidy)) < len(tidy):
        raise ValueError(f"the attribute {next(value for value in tidy if tidy.count(value) > 1)!r} is given twice")
    return tidy


Wishes = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_check_wishes)]


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class PromptsConfig(Section):
    """Where prompts come from and how they are chosen."""

    also: ClassVar[tuple[str, ...]] = ("num", "generate.model")

    corpus: str = Field(
        "coco",
        description="Captions to search: 'coco' (COCO 2017 validation), 'parti' (PartiPrompts), or a file: "
        ".txt, .csv, .tsv or .jsonl (each also .gz), or .parquet.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="Captions to search: coco, parti, or a txt, csv, tsv, jsonl or parquet file.",
            offers=("coco", "parti"),
            path=True,
        ),
    )
    column: str | None = Field(
        None,
        description="Column of the corpus that holds the captions. null: 'caption', where a file has columns.",
        json_schema_extra=flag(Panel.WHAT, help="Column of your corpus that holds the captions."),
    )
    objects: str = Field(
        "1",
        description="How many of the run's classes an image shows: a number, or a range such as '1-3'.",
        json_schema_extra=flag(Panel.WHAT, metavar="N|N-M", help="Classes per image: 1, or a range such as 1-3."),
    )
    style: Wishes = Field(
        (),
        description="Looks, such as [watercolour, 35mm film]. Every prompt gets one, each equally often.",
        json_schema_extra=flag(
            Panel.LOOK,
            help="Looks, separated by commas: 'watercolour,35mm film'. Every prompt gets one, each equally often.",
        ),
    )
    scene: Wishes = Field(
        (),
        description="Places, such as [in the snow, at night], used as style is. Captions that name a place are not "
        "used then.",
        json_schema_extra=flag(Panel.LOOK, help="Places, in the same way: 'in the snow,at night'."),
    )
    weather: Wishes = Field(
        (),
        description="Weather or light, such as [in the rain, foggy], used as style is.",
        json_schema_extra=flag(Panel.LOOK, help="Weather or light, in the same way: 'in the rain,foggy'."),
    )
    domains: Names = Field(
        (),
        description="Conditions that the images are asked for in, such as [night, rain], balanced over the classes; "
        "night:3 comes three times as often. The bundles of prompts/domains.yaml.",
        json_schema_extra=flag(
            Panel.LOOK,
            metavar="NAME[:N],…",
            help="Conditions, balanced over the classes: 'plain,night,rain' or 'night:3,fog'. "
            "prompts/domains.yaml lists them.",
        ),
    )
    domains_file: Path | None = Field(
        None,
        description="A YAML file of further domains, in the form of the bundled domains.yaml.",
        json_schema_extra=flag(
            Panel.LOOK, help="A YAML file of domains of your own, in the form of domains.yaml.", file=True
        ),
    )
    distractors: int = Field(
        0,
        ge=0,
        le=3,
        description="Other things that every prompt asks for in the background, which labels leave to it: a network "
        "learns what is not one of the classes.",
        json_schema_extra=flag(
            Panel.LOOK, metavar="N", help="Things of other kinds in the background of every image, as negatives."
        )
        | {"before": 0},
    )
    pool: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Captions ranked per class. null: four for each image of the class, from 64 to 1,000. "
        "0: templates only.",
    )
    mmr_lambda: float = Field(
        0.5, ge=0, le=1, description="Ranking: 1 is relevance to the class only, 0 is diversity only."
    )
    first_words: int = Field(8, ge=1, description="The class must be among this many first words of a caption.")
    max_words: int = Field(50, ge=1, description="Longer captions are not used.")
    stop_words: Path | None = Field(
        None, description="File of words, one per line, that rule a caption out. null: the bundled list."
    )
    templates: Path | None = Field(
        None,
        description="YAML file of templates and scenes, in the form of the bundled templates.yaml that it replaces.",
    )

    @field_validator("objects", mode="before")
    @classmethod
    def _check_objects(cls, objects: object) -> str:
        text = str(objects).strip()
        low, dash, high = text.partition("-")
        numbers = [low, high] if dash else [low]
        if not all(number.isascii() and number.isdigit() for number in numbers):
            raise ValueError(f"objects: {text!r} is neither a number nor a range such as '1-3'")
        if not 1 <= int(low) <= int(numbers[-1]):
            raise ValueError(f"objects: {text!r} must count upwards from at least 1, such as '1-3'")
        return text

    @property
    def most(self) -> int:
        """Most captions ranked per class."""
        return MAX_POOL if self.pool is None else self.pool

    @property
    def object_range(self) -> tuple[int, int]:
        """Fewest and most classes in an image, both included."""
        low, _, high = self.objects.partition("-")
        return int(low), int(high or low)
