"""How well ``dsfactory filter`` finds wrong masks: plant some, run it, compare.

    python -m research.planted_noise --packages build/stickers/node_modules/@iconify-json --work build/planted
    python -m research.planted_noise --run runs/demo --work build/planted

The first renders sticker scenes of the training styles, whose masks are exact. The second plants into a copy of a run's
masks: those are not all right by themselves, so what is dropped beside the planted ones may well be wrong too, and the
precision is a lower bound.

One sample in five gets a wrong mask: moved by about half of the objects' box, shrunk to less than 45 % of the
area, or called by another class's name, in turn. Prints a JSON summary, which ``--json-out`` writes to a file.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, IMAGE, MASK, VOID, sample_key
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.settings import merge_settings, parse_setting
from dsfactory.runner.progress import choose_progress
from scripts.pocket.dataset import draw_classes
from scripts.pocket.scenes import BACKGROUNDS, compose_scene, group_by_class
from scripts.pocket.stickers import CLASS_ICONS, TRAIN_STYLES, load_stickers
from scripts.rendered_run import LabelledScene, write_run

KINDS = ("moved", "shrunk", "renamed")
SHARE = 0.2
CLASSES = "bird,car,cat,dog"
SHRUNK_AREA = 0.45

Labels = NDArray[np.uint8]


def render_scenes(packages: Path, classes: tuple[str, ...], num: int, seed: int, size: int) -> list[LabelledScene]:
    """Sticker scenes of the training styles with exact masks; scene n depends on (seed, n) alone."""
    groups = group_by_class(load_stickers(packages, TRAIN_STYLES, {name: CLASS_ICONS[name] for name in classes}))
    scenes = []
    for number in range(num):
        rng = np.random.default_rng([seed, number])
        chosen = draw_classes(classes, rng)
        scene = compose_scene(groups, chosen, tuple(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))], rng, size)
        ids = np.array([0, *(classes.index(name) + 1 for name in chosen)], np.uint8)
        scenes.append(LabelledScene(scene.image, ids[scene.labels], chosen))
    return scenes


def read_scenes(path: Path) -> tuple[tuple[str, ...], list[LabelledScene]]:
    """The class names and the samples with a mask (status ok) of a refined run."""
    run = Run.open(path)
    scenes = []
    for spec in run.finished("refine"):
        pairs = zip(run.reader("generate", spec).records(), run.reader("refine", spec).records(), strict=True)
        for drawn, refined in pairs:
            if refined.row["status"] == "ok":
                image, mask = decode_rgb_png(drawn.files[IMAGE]), decode_index_png(refined.files[MASK])
                scenes.append(LabelledScene(image, mask, tuple(refined.row["classes"])))
    return tuple(item.name for item in run.manifest.classes), scenes


def plant(
    scenes: list[LabelledScene], classes: Sequence[str], share: float, seed: int
) -> tuple[list[LabelledScene], dict[int, str]]:
    """Spoil a share of the masks.

    Returns:
        The scenes, and which were spoilt in what way (a word of ``KINDS``).
    """
    rng = np.random.default_rng([seed, len(scenes)])
    chosen = sorted(rng.choice(len(scenes), round(share * len(scenes)), replace=False).tolist())
    kinds = KINDS if len(classes) > 1 else KINDS[:2]
    spoilt = list(scenes)
    planted = {}
    for turn, number in enumerate(chosen):
        planted[number] = kinds[turn % len(kinds)]
        spoilt[number] = _spoil(scenes[number], planted[number], classes, rng)
    return spoilt, planted


def _spoil(scene: LabelledScene, kind: str, classes: Sequence[str], rng: np.random.Generator) -> LabelledScene:
    if kind == "moved":
        return replace(scene, mask=_move(scene.mask, rng))
    if kind == "shrunk":
        return replace(scene, mask=_shrink(scene.mask))
    return _rename(scene, classes, rng)


def _move(mask: Labels, rng: np.random.Generator) -> Labels:
    """Shift all labels by 0.4 to 0.6 of the objects' box, in a direction in which most of them stay in the image."""
    rows, columns = np.nonzero((mask != BACKGROUND) & (mask != VOID))
    box = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1])
    height, width = mask.shape
    moved = mask
    for _ in range(100):
        angle = rng.uniform(0, 2 * np.pi)
        down, right = np.round(rng.uniform(0.4, 0.6) * box * (np.sin(angle), np.cos(angle))).astype(int)
        moved = np.zeros_like(mask)
        moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = mask[
            max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
        ]
        if np.count_nonzero(moved) > 0.5 * np.count_nonzero(mask):
            break
    return moved


def _shrink(mask: Labels) -> Labels:
    """Erode every class until less than ``SHRUNK_AREA`` of it is left."""
    shrunk = np.where(mask == VOID, VOID, BACKGROUND).astype(np.uint8)
    for class_id in np.unique(mask[(mask != BACKGROUND) & (mask != VOID)]):
        part = (mask == class_id).astype(np.uint8)
        area = part.sum()
        while part.sum() > SHRUNK_AREA * area:
            smaller = cv2.erode(part, np.ones((3, 3), np.uint8), borderValue=0)
            if not smaller.any():
                break
            part = smaller
        shrunk[part > 0] = class_id
    return shrunk


def _rename(scene: LabelledScene, classes: Sequence[str], rng: np.random.Generator) -> LabelledScene:
    """Call the first object by the name of a class that the image does not show; with none left, swap two names."""
    absent = [name for name in classes if name not in scene.classes]
    mask = scene.mask.copy()
    first = scene.mask == classes.index(scene.classes[0]) + 1
    if absent:
        other = absent[rng.integers(len(absent))]
        mask[first] = classes.index(other) + 1
        return LabelledScene(scene.image, mask, (other, *scene.classes[1:]))
    mask[scene.mask == classes.index(scene.classes[1]) + 1] = classes.index(scene.classes[0]) + 1
    mask[first] = classes.index(scene.classes[1]) + 1
    return replace(scene, mask=mask)


def measure(path: Path, planted: dict[int, str]) -> dict[str, Any]:
    """Precision and recall of what ``filter`` dropped, whatever for, and how much it voided where all is right."""
    run = Run.open(path)
    rows = [row for spec in run.finished("filter") for row in run.reader("filter", spec).rows]
    dropped = {row["number"]: row["drop_reason"] for row in rows if row["status"] == "dropped"}
    found = planted.keys() & dropped.keys()
    reasons = sorted(set(dropped.values()))
    voided = [row["filter_void"] for row in rows if row["status"] == "ok" and row["number"] not in planted]
    return {
        "samples": len(rows),
        "planted": len(planted),
        "dropped": len(dropped),
        "precision": round(len(found) / len(dropped), 3) if dropped else None,
        "recall": round(len(found) / len(planted), 3),
        "recall_by_kind": {
            kind: round(np.mean([number in dropped for number, name in planted.items() if name == kind]).item(), 3)
            for kind in KINDS if kind in planted.values()
        },
        "voided_of_right": round(np.mean(voided).item(), 4) if voided else None,
        "dropped_by_reason": {reason: sum(value == reason for value in dropped.values()) for reason in reasons},
        "right_by_reason": {reason: sum(dropped[number] == reason for number in found) for reason in reasons},
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--packages", type=Path, help="folder with one sub-folder per sticker package")
    source.add_argument("--run", type=Path, help="a refined run; it is not changed")
    parser.add_argument("--work", type=Path, required=True, help="folder for the spoilt run, made again each time")
    parser.add_argument("--classes", default=CLASSES, help=f"of the rendered scenes (default {CLASSES})")
    parser.add_argument("--num", type=int, default=400, help="number of rendered scenes (default 400)")
    parser.add_argument("--size", type=int, default=128, help="side of a rendered scene in pixels (default 128)")
    parser.add_argument("--share", type=float, default=SHARE, help="share of wrong masks (default 0.2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="a setting of the filter, as filter.keep=0.8")
    parser.add_argument("--json-out", type=Path, help="where the summary goes as a file too")
    args = parser.parse_args(argv)
    if args.run is not None:
        classes, scenes = read_scenes(args.run)
    else:
        classes = tuple(args.classes.split(","))
        scenes = render_scenes(args.packages, classes, args.num, args.seed, args.size)
    spoilt, planted = plant(scenes, classes, args.share, args.seed)
    if (args.work / "run.json").exists():
        shutil.rmtree(args.work)
    write_run(args.work, classes, spoilt)
    start = time.process_time()
    with choose_progress(silent=False) as progress:
        run_job(Request(("filter",), args.work, flags=merge_settings(*map(parse_setting, args.set))), progress)
    summary = {
        "source": "run" if args.run else "rendered scenes",
        "classes": list(classes),
        **measure(args.work, planted),
        "cpu_seconds": round(time.process_time() - start, 1),
    }
    text = json.dumps(summary, indent=1)
    print(text)
    if args.json_out is not None:
        args.json_out.write_text(text + "\n", encoding="utf-8")
    keys = [sample_key(number) for number in planted]
    print(f"planted: {', '.join(keys[:8])} …", file=sys.stderr)


if __name__ == "__main__":
    main()
