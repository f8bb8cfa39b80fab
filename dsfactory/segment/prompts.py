"""What a promptable segmenter is told of an object. Apart from the model, for masks are made without PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """Where an object is.

    Attributes:
        box: left, top, right, bottom in pixels.
        inside: points x, y in the object.
        outside: points x, y in other objects.
    """

    box: tuple[float, float, float, float]
    inside: tuple[tuple[float, float], ...]
    outside: tuple[tuple[float, float], ...] = ()
