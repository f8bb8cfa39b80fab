"""An attention layer whose projections are picked up while it works."""

from typing import Any

from torch import Tensor, nn


class ObservedLayer:
    """An attention layer under observation: its projections of the moment, until they are read."""

    class_keys: Tensor | None = None
    image_keys = False
    """Of joint attention: whether the image's own keys are asked for too, as self-attention wants them."""
    scale: float
    mixed: Tensor | None = None
    """What the output projection was given, for the rows that are read; None where nobody asks."""
    value: Tensor | None = None
    """The image's values, for these rows; None where nobody asks."""

    def __init__(self, name: str, attention: Any) -> None:
        self.name = name
        self.attention = attention
        self.heads: int = attention.heads
        self.parts: dict[str, Tensor] = {}
        self.reads = 0
        self.self_reads = 0
        """For how many of the steps in which self-attention is wanted it was read."""

    def keep(self, part: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.parts[part] = output

    def keep_mixed(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.parts["mixed"] = args[0]

    def take(self, rows: slice) -> tuple[Tensor, Tensor] | None:
        """Query and key of some rows of the batch, given up here; None where the layer did not compute them."""
        parts, self.parts = self.parts, {}
        if "query" not in parts or "key" not in parts:
            return None
        self.reads += 1
        self.mixed, self.value = (
            None if part is None else part[rows] for part in (parts.pop("mixed", None), parts.pop("value", None))
        )
        return self.of_image({name: part[rows] for name, part in parts.items()}, rows)

    def of_image(self, parts: dict[str, Tensor], rows: slice) -> tuple[Tensor, Tensor]:
        """The query of the image positions, and the key that they attend to."""
        return parts["query"], parts["key"]
