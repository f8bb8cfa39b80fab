"""LoRAs and textual inversions that go with a model: how they are named, where they are, what they are. Reads headers.

A LoRA is a file, or ``owner/name`` on a hub (its ``pytorch_lora_weights.safetensors``), or the address of a file there.
"""

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dsfactory.errors import UserError
from dsfactory.models.fetch import fetch
from dsfactory.models.folder import file_digest
from dsfactory.models.locate import cached_file
from dsfactory.models.names import hub_page
from dsfactory.models.weights import read_metadata

LORA_FILE = "pytorch_lora_weights.safetensors"
"""What diffusers calls the file of a LoRA in a repository or a folder."""

MAX_WEIGHT = 10.0
MAX_TOKEN = 40


@dataclass(frozen=True)
class Adapter:
    """A file that changes a model a little.

    Attributes:
        name: as the user wrote it.
        path: the file.
        weight: by how much a LoRA is multiplied.
        token: the word that a textual inversion teaches; empty for a LoRA.
    """

    name: str
    path: Path
    weight: float = 1.0
    token: str = ""

    @cached_property
    def digest(self) -> str:
        """A hash of what the file holds."""
        return file_digest(self.path)

    @property
    def identity(self) -> dict[str, str | float]:
        """What tells it from any other, for fingerprints. The file's place is no part of it."""
        return {"content": self.digest, **({"token": self.token} if self.token else {"weight": self.weight})}

    @property
    def trigger(self) -> str:
        """The words that its file says a prompt needs; empty when it says none."""
        return " ".join(str(read_metadata(self.path).get("modelspec.trigger_phrase", "")).split())


def split_lora(text: str) -> tuple[str, float]:
    """``"FILE:0.8"`` as name and weight; 1 where none is given.

    Raises:
        ValueError: the weight is out of range.
    """
    name, colon, last = text.strip().rpartition(":")
    try:
        weight = float(last) if colon else None
    except ValueError:
        weight = None
    if weight is None:
        name, weight = text.strip(), 1.0
    if not name:
        raise ValueError("--lora takes FILE or ID, or FILE:WEIGHT")
    if not math.isfinite(weight) or abs(weight) > MAX_WEIGHT:
        raise ValueError(f"--lora {text}: the weight must be from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}")
    return name, weight


def split_embedding(text: str) -> tuple[str, str]:
    """``"FILE:TOKEN"`` as the two.

    Raises:
        ValueError: there is no token, or not a single word.
    """
    name, _, token = text.strip().rpartition(":")
    if not name or not token or "/" in token or not token.isprintable() or len(token.split()) != 1:
        raise ValueError(f"--embedding {text}: write FILE:TOKEN, the word in prompts that the file teaches")
    if len(token) > MAX_TOKEN:
        raise ValueError(f"--embedding {text}: the token has more than {MAX_TOKEN} characters")
    return name, token


def find_loras(texts: tuple[str, ...]) -> tuple[Adapter, ...]:
    """The LoRAs that settings name, fetched if they have to be; those of weight 0 are left out.

    Raises:
        UserError: one is not there, or pickled.
    """
    named = [split_lora(text) for text in texts]
    return tuple(Adapter(name, _file("--lora", name), weight) for name, weight in named if weight)


def find_embeddings(texts: tuple[str, ...]) -> tuple[Adapter, ...]:
    """The textual inversions that settings name.

    Raises:
        UserError: one is not there, or pickled.
    """
    named = [split_embedding(text) for text in texts]
    return tuple(Adapter(name, _file("--embedding", name), token=token) for name, token in named)


def lora_triggers(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The words that the LoRAs of settings want in every prompt."""
    return tuple(lora.trigger for lora in find_loras(texts) if lora.trigger)


def missing_adapter(texts: tuple[str, ...]) -> str | None:
    """The first LoRA that has to be fetched."""
    for name, weight in map(split_lora, texts):
        place = _on_hub(name) if weight else None
        if place is not None and cached_file(*place) is None:
            return name
    return None


def _on_hub(name: str) -> tuple[str, str, str | None] | None:
    """Hub id, file and revision of a name that is no path on this machine."""
    if os.path.exists(os.path.expanduser(name)):
        return None
    page = hub_page(name)
    return None if page is None else (page[0], page[2] or LORA_FILE, page[1])


def _file(flag: str, name: str) -> Path:
    path = Path(os.path.expanduser(name))
    if path.is_dir() and (path / LORA_FILE).is_file():
        path /= LORA_FILE
    place = _on_hub(name) if flag == "--lora" else None
    if place is not None:
        hub_id, inner, revision = place
        found = cached_file(hub_id, inner, revision)
        path = found or fetch(name, hub_id, revision, (inner,)) / inner
    if not path.is_file():
        raise UserError(f"{flag} {name} is not there: give a .safetensors file")
    if path.suffix != ".safetensors":
        raise UserError(f"{flag} {name}: only .safetensors are read, other files can run code when they are")
    return path
