"""The training set of the pocket model: scenes with captions, rendered once into a work folder.

    python -m scripts.pocket.dataset --packages node_modules/@iconify-json --captions CAPTIONS.jsonl.gz --work DIR

Writes `images.npy` (uint8 [N, size, size, 3]), `labels.npy` (uint8 [N, size, size]) and `rows.jsonl` (caption, classes,
background). Scene n depends on (seed, n) alone.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from scripts.pocket.art import load_art
from scripts.pocket.captions import draw_caption, load_captions
from scripts.pocket.scenes import Scene, compose_scene, group_by_class
from scripts.pocket.stickers import Sticker

COUNT_WEIGHTS = (0.65, 0.27, 0.08)  # of 1, 2 and 3 objects
CLASS_WEIGHTS = {"dog": 2.0, "bird": 2.0, "cat": 1.5}  # others 1: those that move are the harder shapes


def draw_classes(names: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """One to three different classes for a scene, in random order."""
    weights = np.array([CLASS_WEIGHTS.get(name, 1.0) for name in names])
    count = min(1 + int(rng.choice(3, p=COUNT_WEIGHTS)), len(names))
    return tuple(names[i] for i in rng.choice(len(names), count, replace=False, p=weights / weights.sum()))


def render_scene(
    groups: dict[str, list[Sticker]], captions: dict[tuple[str, ...], list[str]], seed: int, size: int, number: int
) -> tuple[Scene, str, str]:
    """Scene `number` with its caption and background kind."""
    rng = np.random.default_rng([seed, number])
    classes = draw_classes(tuple(groups), rng)
    caption, background = draw_caption(classes, captions, rng)
    return compose_scene(groups, classes, background, rng, size), caption, background


def iterate_scenes(
    stickers: list[Sticker],
    captions: dict[tuple[str, ...], list[str]],
    count: int,
    seed: int,
    size: int,
    workers: int = 1,
) -> Iterator[tuple[Scene, str, str]]:
    """Yield `count` scenes in order, each with its caption and background kind; the same whatever `workers` is."""
    render = partial(render_scene, group_by_class(stickers), captions, seed, size)
    if workers == 1:
        yield from map(render, range(count))
        return
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_begin, initargs=(render,)) as pool:
        yield from pool.imap(_render, range(count), chunksize=64)


_renderer: partial[tuple[Scene, str, str]]


def _begin(render: "partial[tuple[Scene, str, str]]") -> None:
    """Give a worker the stickers once, not with every scene."""
    global _renderer
    _renderer = render
    cv2.setNumThreads(1)


def _render(number: int) -> tuple[Scene, str, str]:
    return _renderer(number)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Render the training scenes of the pocket model.")
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--captions", type=Path, required=True, help="COCO captions, gzipped JSON lines")
    parser.add_argument("--work", type=Path, required=True, help="work folder, created if missing")
    parser.add_argument("--num", type=int, default=28000, help="number of scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="side of a scene in pixels")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that render")
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    stickers = load_art(args.packages)
    shape = (args.num, args.size, args.size)
    images = np.lib.format.open_memmap(args.work / "images.npy", mode="w+", dtype=np.uint8, shape=(*shape, 3))
    labels = np.lib.format.open_memmap(args.work / "labels.npy", mode="w+", dtype=np.uint8, shape=shape)
    with open(args.work / "rows.jsonl", "w", encoding="utf-8") as rows:
        captions = load_captions(args.captions)
        scenes = iterate_scenes(stickers, captions, args.num, args.seed, args.size, args.workers)
        for number, (scene, caption, background) in enumerate(scenes):
            images[number], labels[number] = scene.image, scene.labels
            row = {"caption": caption, "classes": scene.classes, "background": background}
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    images.flush()
    labels.flush()
    print(f"{args.num} scenes of {args.size}² in {args.work}")


if __name__ == "__main__":
    main()
