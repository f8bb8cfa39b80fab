"""Runs whose masks are known: red discs and blue squares on grey, easy enough to be learnt in seconds."""

from pathlib import Path

import numpy as np

from scripts.rendered_run import LabelledScene, write_run

CLASSES = ("disc", "square")
COLOURS = {"disc": (200, 60, 40), "square": (40, 80, 210)}
SIDE = 32


def draw_scene(number: int, name: str | None = None) -> LabelledScene:
    """One object of a size between a sixth and a third of the image; scene n depends on n alone."""
    rng = np.random.default_rng(number)
    name = name or CLASSES[number % 2]
    y, x = np.mgrid[:SIDE, :SIDE]
    radius, (top, left) = rng.uniform(7, 10), rng.uniform(10, SIDE - 10, 2)
    distances = np.hypot(y - top, x - left), np.maximum(abs(y - top), abs(x - left))
    inside = distances[CLASSES.index(name)] < radius
    image = np.where(inside[..., None], COLOURS[name], (120, 130, 120)) + rng.normal(0, 8, (SIDE, SIDE, 3))
    mask = inside.astype(np.uint8) * (CLASSES.index(name) + 1)
    return LabelledScene(image.clip(0, 255).astype(np.uint8), mask, (name,))


def scenes_with_noise(count: int, wrong: int) -> list[LabelledScene]:
    """Scenes of which the first few carry the mask of another place."""
    scenes = [draw_scene(number) for number in range(count)]
    for number in range(wrong):
        scenes[number] = LabelledScene(
            scenes[number].image, np.roll(scenes[number].mask, SIDE // 2, axis=(0, 1)), scenes[number].classes
        )
    return scenes


def make_run(path: Path, scenes: list[LabelledScene], classes: tuple[str, ...] = CLASSES, shard_size: int = 8) -> Path:
    write_run(path, classes, scenes, shard_size)
    return path


QUICK = {"filter": {"folds": 2, "device": "cpu", "min_evidence": 0.0,
                    "segment": {"steps": 40, "batch_size": 4, "side": 32, "learning_rate": 0.004}}}  # fmt: skip
"""Settings that train in seconds."""
