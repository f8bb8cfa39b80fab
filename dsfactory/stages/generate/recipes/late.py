"""The second half of the steps only (T2S): before it, a pixel has not decided what it is."""

from collections.abc import Iterable

LATEST_NOISE = 500
"""Timesteps of 1000 below which a given picture's noisy version counts as late."""


def late_steps(steps: int) -> tuple[int, ...]:
    """Numbers of the second half of the steps, the middle one among them: ``late_steps(5)`` gives ``(2, 3, 4)``."""
    return tuple(range(steps // 2, steps))


def late_passes(timesteps: Iterable[int]) -> tuple[int, ...]:
    """Places of the timesteps with less noise than signal; all of them where none has."""
    timesteps = tuple(timesteps)
    found = tuple(place for place, timestep in enumerate(timesteps) if timestep < LATEST_NOISE)
    return found or tuple(range(len(timesteps)))
