"""Settings of the adopt stage: what is taken over, and what its labels are called here."""

import os
from typing import Any

from pydantic import Field, field_validator

from dsfactory.core.flags import Panel, flag
from dsfactory.core.section import Section


class AdoptConfig(Section):
    """Which labelled images become a run, and what their labels are called in it."""

    sources: tuple[str, ...] = Field(
        (),
        description="Labelled sets (folders or files) and other runs. They are only read.",
        json_schema_extra=flag(
            Panel.WHAT,
            help="Labelled sets (COCO, VOC, YOLO, mask pairs, Parquet: a folder or a file) and other runs.",
            repeated=True,
            argument=True,
            affects_output=False,
        ),
    )
    rename: tuple[str, ...] = Field(
        (),
        description="Labels that are called otherwise in the run: car=vehicle. background and ignore are names, too.",
        json_schema_extra=flag(
            Panel.LABELS,
            name="--map",
            metavar="OLD=NEW,…",
            help="What labels are called in the run: car=vehicle,truck=vehicle,tree=background,sky=ignore.",
        ),
    )
    resplit: bool = Field(
        False,
        description="Forget which side of the split the sources have images on: the run's own rule decides.",
        json_schema_extra=flag(Panel.OUTPUT),
    )

    @field_validator("sources")
    @classmethod
    def _anchor(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        """The run works from any folder."""
        return tuple(os.path.abspath(source) for source in sources)

    @field_validator("rename")
    @classmethod
    def _check_rename(cls, rename: tuple[str, ...]) -> tuple[str, ...]:
        for item in rename:
            old, equals, new = item.partition("=")
            if not (old.strip() and equals and new.strip()):
                raise ValueError(f"--map {item[:60]!r}: write it as old=new, such as car=vehicle")
        return rename

    @property
    def renamed(self) -> dict[str, str]:
        """New names by old ones."""
        pairs: Any = (item.partition("=")[::2] for item in self.rename)
        return {old.strip(): new.strip() for old, new in pairs}
