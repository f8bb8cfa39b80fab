"""A file of decisions: which samples a person keeps and rejects, as the report page saves it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dsfactory.errors import UserError

KIND = "decisions"
MAX_FILE = 64 * 2**20
"""Bytes of a file that is read."""

Choice = Literal["keep", "reject"]


class Decision(BaseModel):
    """What a person says of a sample.

    Attributes:
        decision: it stays in the dataset, whatever a judge says, or leaves it.
        image_sha256: of the image (PNG) that the person saw; 64 hex digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Choice
    image_sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _File(BaseModel):
    dsfactory: Literal["decisions"]
    samples: dict[str, Decision]


@dataclass(frozen=True)
class Decisions:
    """A file of decisions.

    Attributes:
        source: name of the file.
        samples: by key.
    """

    source: str
    samples: dict[str, Decision]


def read_decisions(path: Path) -> Decisions | None:
    """A file of decisions; None when it is something else.

    Raises:
        UserError: it says that it is one, and cannot be read.
    """
    content = _read(path)
    if not isinstance(content, dict) or content.get("dsfactory") != KIND:
        return None
    try:
        return Decisions(path.name, _File.model_validate(content).samples)
    except ValidationError as error:
        place = [str(part) for part in error.errors()[0]["loc"]][1:2]
        which = f" (sample {place[0][:40]})" if place else ""
        raise UserError(f"{path} is no file of decisions{which}: save it again from the report page") from error


def _read(path: Path) -> Any:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            return None
        with path.open("rb") as file:
            head = file.read(200)
            # What another tool wrote may be long: only the page's own file begins like this.
            return json.loads(head + file.read()) if b'"dsfactory"' in head else None
    except (OSError, ValueError, RecursionError):
        return None
