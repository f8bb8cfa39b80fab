"""Which recipe gives the best masks, and which rule the best instances: one table over models, scenes and seeds.

    python -m research.recipes --packages build/stickers/node_modules/@iconify-json \\
        --models pocket,BEDS/unet,BEDS/joint --styles twemoji~lines,fluent-emoji-flat~hues --scenes 10 --seeds 1,2,3 \\
        --out docs/figures/recipes.json

A model is a preset, a folder of a Stable Diffusion model, or a test bed (research/testbeds). Pictures are rendered,
with exact masks: of one class, of several, and of two objects of one class that touch. All recipes see the same
pictures and noise. Told: the classes are named; untold: the model judges which of all classes a picture shows (UNets
only). Styles are those of presence_study.py: none that is kept for testing, unless `--test` says so.

A cell is the mean over seeds of the class mIoU, ignored pixels counted as background, with the lowest and the highest
seed. Instances: AP50 of objects of equal confidence, that is precision times recall at an IoU of 0.5; `counted` knows
the number from the caption ("two dogs").
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.sample import VOID
from dsfactory.core.seeds import derive_seed
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.annotate.presence import Judge
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.recipes import Recipe
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.counted import asked_numbers
from dsfactory.stages.refine.mask import refine_mask
from research.annotate_measure import Overlap, build_annotator, in_list, write_figures
from research.presence_study import stickers_of
from research.testbeds.models import Bed
from research.testbeds.reading import SEEDS, JointReader, unet_pipeline
from research.testbeds.world import Scene, render
from scripts.pocket.captions import class_specs, load_captions
from scripts.pocket.scenes import group_by_class
from scripts.pocket.stickers import CLASS_ICONS, TEST_STYLES

Labels = NDArray[np.uint8]
Read = Callable[[NDArray[np.uint8], int, Sequence[ClassSpec], Sequence[Recipe]], list[Evidence]]
Found = Callable[[NDArray[np.uint8], int], list[str]]

KINDS = ("one", "several", "twins")
SIZE = 128
BEFORE = {"recipe": "mean", "instances": "components"}
REPLACED = {"affinity_weight": 1.0}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "mean (before)": ("mean", {}),
    "levels": ("mean", {"recipe": "levels"}),
    "self-attention alone, S⁴": ("mean", REPLACED),
    "self-attention alone, S²": ("square", REPLACED),
    "self-attention alone, sharpened": ("sharp", REPLACED),
    "levels, S² alone": ("square", {"recipe": "levels", **REPLACED}),
    "content words": ("content", {}),
    "heads": ("heads", {}),
    "heads, content words": ("heads+content", {}),
    "heads, content words, S² alone": ("heads+content+square", REPLACED),
    "one block": ("block", {}),
    "one block, content words": ("block+content", {}),
    "concepts": ("concepts", {}),
    "concepts, S² alone": ("concepts+square", REPLACED),
}
"""How attention is read, and other settings of refine. Blocks and concepts are for transformers, heads and levels for
UNets."""
RULES = ("components", "counted", "shape", "edges")


def arms_of(joint: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Those that a model can be read by."""

    def suits(reading: str, settings: dict[str, Any]) -> bool:
        parts = Recipe.parse(reading)
        return not (parts.heads or "recipe" in settings) if joint else not (parts.block or parts.concepts)

    return {name: arm for name, arm in ARMS.items() if suits(*arm)}


def open_model(name: str) -> tuple[Read, Found | None, bool]:
    """How to read a picture, how to judge its classes (None: it cannot), and whether attention is joint."""
    folder = Path(name)
    if (folder / "bed.json").is_file():
        bed = Bed.load(folder, torch.device("cpu"))
        if bed.kind == "joint":
            return JointReader(bed).evidences, None, True
        timesteps = AnnotateConfig(images="").timesteps
        annotator = Annotator(unet_pipeline(bed), timesteps=timesteps, seeds=SEEDS, width=SIZE, height=SIZE)
    else:
        annotator = build_annotator(name, "cpu")
    judge = Judge(annotator, class_specs(tuple(CLASS_ICONS)))
    limit = AnnotateConfig(images="").min_presence
    assert limit is not None

    def read(
        image: NDArray[np.uint8], seed: int, classes: Sequence[ClassSpec], recipes: Sequence[Recipe]
    ) -> list[Evidence]:
        return annotator.evidences(annotator.noisy(image, seed), classes, recipes)

    def found(image: NDArray[np.uint8], seed: int) -> list[str]:
        presence = judge.presence(image, seed)
        return [name for name, sure in zip(CLASS_ICONS, presence, strict=True) if sure >= limit]

    return read, found, False


class Instances:
    """Objects found and objects there."""

    def __init__(self) -> None:
        self.hits = self.found = self.there = 0

    def add(self, ours: Labels, truth: Labels) -> None:
        """Instance ids of a picture, 255 void; each object counts for the first of the truth that it fits."""
        ids = [number for number in np.unique(ours) if number not in (0, VOID)]
        there = [number for number in np.unique(truth) if number]
        self.found, self.there = self.found + len(ids), self.there + len(there)
        for number in there:
            right = truth == number
            ious = {one: (right & (ours == one)).sum() / (right | (ours == one)).sum() for one in ids}
            if ious and max(ious.values()) >= 0.5:
                self.hits += 1
                ids.remove(max(ious, key=lambda one: ious[one]))

    @property
    def ap50(self) -> float:
        return self.hits**2 / max(1, self.found * self.there)


def class_labels(scene: Scene, names: Sequence[str]) -> Labels:
    """A scene's labels, which count its objects, as labels that count a class list's."""
    return in_list(scene.labels, scene.classes, names)


def measure(
    name: str, scenes: dict[tuple[str, int], list[Scene]], untold: bool
) -> Iterator[dict[str, dict[str, dict[str, list[float]]]]]:
    """A model's rows, more after each kind and seed: per arm and kind the mIoU of each seed, and per rule the AP50."""
    read, found, joint = open_model(name)
    arms = arms_of(joint)
    readings = list(dict.fromkeys(reading for reading, _ in arms.values()))
    names = list(CLASS_ICONS)
    masks: dict[str, dict[str, list[float]]] = {}
    rules: dict[str, dict[str, list[float]]] = {}
    for (kind, seed), pictures in scenes.items():
        overlaps: dict[str, Overlap] = {}
        instances = {rule: Instances() for rule in RULES}
        for number, scene in enumerate(pictures):
            noise = derive_seed(6, seed, number)
            truth = class_labels(scene, names)
            told = list(dict.fromkeys(scene.classes))
            askings = {"told": told}
            if found is not None and untold:
                askings["untold"] = found(scene.image, noise)
            for asking, asked in askings.items():
                classes = class_specs(tuple(asked))
                recipes = [Recipe.parse(reading) for reading in readings]
                evidence = dict(zip(readings, read(scene.image, noise, classes, recipes), strict=True)) if asked else {}
                for arm, (reading, settings) in arms.items():
                    labels = np.zeros(truth.shape, np.uint8)
                    if asked:
                        config = RefineConfig(**{**BEFORE, **settings})
                        maps = evidence[reading]
                        ids = range(1, len(asked) + 1)
                        labels = refine_mask(scene.image, maps.cross, maps.affinity, ids, config).labels
                    shown = overlaps.setdefault(f"{arm}, {asking}", Overlap(names))
                    shown.add(in_list(labels, asked, names), truth)
            numbers = asked_numbers(scene.caption, class_specs(tuple(told)))
            maps = read(scene.image, noise, class_specs(tuple(told)), [Recipe(edges=True)])[0]
            ids = range(1, len(told) + 1)
            for rule, tally in instances.items():
                config = RefineConfig(**{**BEFORE, "instances": rule})
                made = refine_mask(scene.image, maps.cross, maps.affinity, ids, config, edges=maps.edges, asked=numbers)
                tally.add(made.instances, scene.labels)
        present = {name for scene in pictures for name in scene.classes}
        for arm, overlap in overlaps.items():
            ious = [iou for name, iou in overlap.figures()["iou"].items() if name in present]
            masks.setdefault(arm, {}).setdefault(kind, []).append(float(np.mean(ious)))
        for rule, tally in instances.items():
            rules.setdefault(rule, {}).setdefault(kind, []).append(tally.ap50)
        print(f"{Path(name).name}, {kind}, seed {seed}: done", flush=True)
        yield {"masks": masks, "instances": rules}


def table(rows: dict[str, dict[str, list[float]]]) -> str:
    """Rows of means with spreads as Markdown."""
    lines = ["| | " + " | ".join(KINDS) + " |", "| --- |" + " --- |" * len(KINDS)]
    for arm, cells in rows.items():
        shown = (f"{np.mean(cells[kind]):.3f} ({min(cells[kind]):.3f} to {max(cells[kind]):.3f})" for kind in KINDS)
        lines.append(f"| {arm} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--captions", type=Path, default=Path("prompts/coco_val2017_captions.jsonl.gz"))
    parser.add_argument("--models", default="pocket", help="presets, model folders, test beds, separated by commas")
    parser.add_argument("--styles", default="twemoji~lines,fluent-emoji-flat~hues", help="separated by commas")
    parser.add_argument("--scenes", type=int, default=10, help="per kind, seed and model")
    parser.add_argument("--told-only", action="store_true", help="do not have the model judge the classes too")
    parser.add_argument("--seeds", default="1,2,3", help="of the scenes, separated by commas")
    parser.add_argument("--test", action="store_true", help="measure on a style that is kept for testing")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON")
    args = parser.parse_args(argv)
    styles = args.styles.split(",")
    if not args.test and any(style.partition("~")[0] in TEST_STYLES for style in styles):
        raise SystemExit("that style is for testing: choose recipes on others, and add --test for the last measurement")
    groups = [group_by_class(stickers_of(args.packages, style)) for style in styles]
    captions = load_captions(args.captions)
    scenes = {
        (kind, seed): [
            render(groups[number % len(groups)], captions, seed, SIZE, number, kind) for number in range(args.scenes)
        ]
        for seed in map(int, args.seeds.split(","))
        for kind in KINDS
    }
    figures: dict[str, Any] = {"styles": args.styles, "scenes": args.scenes, "seeds": args.seeds}
    for name in args.models.split(","):
        for rows in measure(name, scenes, not args.told_only):
            figures[Path(name).name] = rows
            if args.out is not None:
                write_figures(args.out, figures)
        print(f"\n{Path(name).name}: masks\n\n{table(rows['masks'])}\n\ninstances\n\n{table(rows['instances'])}\n")


if __name__ == "__main__":
    main()
