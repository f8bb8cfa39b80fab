"""The text encoder that ranks captions: that of the model that makes the images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from dsfactory.core.stage import Machines
from dsfactory.models.locate import Model, locate_model

if TYPE_CHECKING:
    from dsfactory.stages.prompts.retrieve import Embedder


class Encoder(Protocol):
    """A text encoder that is loaded when it is needed."""

    def identity(self) -> Mapping[str, Any]:
        """What identifies it, as JSON values."""

    def load(self) -> "Embedder":
        """Load it."""

    def on_device(self, machines: Machines) -> "Encoder":
        """The encoder on a device that this process has."""


@dataclass(frozen=True)
class ModelEncoder:
    """The text encoder of a model.

    Attributes:
        name: a preset, a hub id or a folder.
        revision: of a hub model.
        device: where it computes.
    """

    name: str
    revision: str | None
    device: str

    @cached_property
    def _model(self) -> Model:
        return locate_model(self.name, self.revision)

    def identity(self) -> Mapping[str, Any]:
        return self._model.identity()

    def load(self) -> "Embedder":
        from dsfactory.models.loading import load_text_embedder

        return load_text_embedder(self._model, device=self.device)

    def on_device(self, machines: Machines) -> "ModelEncoder":
        return replace(self, device=machines.text_device(self.device))
