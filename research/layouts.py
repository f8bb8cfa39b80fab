"""How well images follow layouts, and what that costs: layout IoU against recognisability over the strengths.

    python -m research.layouts --packages node_modules/@iconify-json --work DIR [--per-class 13] [--plot PNG]

Layouts hold one object each: outlines of rendered stickers of the training styles, moved, scaled and flipped, or random
blobs. Two networks judge that never saw the pocket model's attention (scripts/pocket/judges.py): one finds the
foreground, one names the class. Figures go to ``DIR/layouts.jsonl``, a line per control as soon as it is measured; a
second run goes on.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsfactory.core.classes import ClassSpec
from dsfactory.core.seeds import derive_seed
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.generate.layouts.arrange import Shape, arrange, blob, trimmed
from dsfactory.stages.generate.layouts.config import LayoutConfig
from dsfactory.stages.generate.layouts.layout import Placed
from dsfactory.stages.generate.sampler import Request, Sampler, Target
from dsfactory.stages.prompts.vocabulary import find_mentions
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from dsfactory.stages.refine.prior import Prior
from scripts.pocket.art import load_art
from scripts.pocket.captions import template_caption
from scripts.pocket.judges import Judges, as_pictures, render_single, segment, train_judges
from scripts.pocket.scenes import BACKGROUNDS, group_by_class, paint_background, place_sticker
from scripts.pocket.stickers import Sticker

SIZE = 128
CONTROLS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "none": (None, {}),
    "densediffusion": ("dense", {"recipe": "densediffusion"}),
    "hard": ("hard", {}),
    "dense, until 0.2": ("dense", {"until": 0.2}),
    "dense": ("dense", {}),
    "dense, until 0.6": ("dense", {"until": 0.6}),
}


def layouts_of(
    shapes: dict[str, list[Shape]] | None, names: Sequence[str], per_class: int, seed: int
) -> list[tuple[str, Placed]]:
    """A class and its layout, ``per_class`` of each class; of blobs where there are no shapes."""
    found = []
    for name in names:
        for number in range(per_class):
            random = np.random.default_rng(derive_seed(seed, "layout", name, number))
            shape = blob(random) if shapes is None else shapes[name][random.integers(len(shapes[name]))]
            mask, objects = arrange([(1, shape)], (SIZE, SIZE), (0.06, 0.3), random)
            found.append((name, Placed(mask, objects)))
    return found


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Of two masks; 0 where both are empty."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def measure(
    pipeline: Any, layouts: Sequence[tuple[str, Placed]], control: str | None, strengths: dict[str, Any],
    judges: Judges, seed: int, kept: Path,
) -> dict[str, Any]:  # fmt: skip
    """Figures of one control over layouts; a value per image is kept beside."""
    sampler = Sampler(
        pipeline, width=SIZE, height=SIZE, steps=20, guidance=4.0, find_mentions=find_mentions, batch_size=16,
        control=control, strengths=LayoutConfig(**strengths),
    )  # fmt: skip
    requests = []
    for number, (name, layout) in enumerate(layouts):
        random = np.random.default_rng([seed, number])
        prompt = template_caption((name,), None, random)
        target = Target(layout, (1,))
        requests.append(Request(prompt, derive_seed(seed, name, number), (ClassSpec(name=name),), target))
    start = time.process_time()
    drawings = list(sampler.draw(requests))
    seconds = time.process_time() - start
    images = np.stack([drawing.image for drawing in drawings if drawing.image is not None])
    with torch.no_grad():
        named = judges.classifier(as_pictures(images)).argmax(1).numpy()
    found = segment(judges.segmenter, images)
    truth = np.stack([layout.mask == 1 for _, layout in layouts])
    overlap = np.array([iou(a, b) for a, b in zip(found, truth, strict=True)])
    right = np.array([judges.classes[place] == name for place, (name, _) in zip(named, layouts, strict=True)])
    check, label = [], []
    for drawing, seen, (_, layout) in zip(drawings, found, layouts, strict=True):
        assert drawing.evidence is not None and drawing.image is not None
        mask = refine_mask(drawing.image, drawing.evidence.cross, drawing.evidence.affinity, (1,), RefineConfig(),
                           None, Prior.of(layout, (1,)))  # fmt: skip
        check.append(mask.layout_iou[0])
        label.append(iou(mask.labels == 1, seen & (mask.labels != 255)))
    ours = np.array(check)
    passed = ours >= 0.3
    np.savez(kept, images=images, overlap=overlap, right=right, check=ours, label=np.array(label), masks=truth)
    return {
        "layouts": len(layouts), "seconds_per_image": round(seconds / len(layouts), 3),
        "layout_iou": overlap.mean(), "median": float(np.median(overlap)), "above_half": float((overlap > 0.5).mean()),
        "recognised": right.mean(), "check_passes": passed.mean(),
        "label_iou_of_passed": float(np.mean(np.array(label)[passed])),
        "passed_iou": overlap[passed].mean(), "passed_recognised": right[passed].mean(),
        "check_correlation": float(np.corrcoef(ours, overlap)[0, 1]),
    }  # fmt: skip


def ceiling(stickers: dict[str, list[Sticker]], judges: Judges, per_class: int, seed: int) -> dict[str, Any]:
    """What the judges say of rendered stickers of the layouts' sizes: no drawing can be expected to do better."""
    images, truth, names = [], [], []
    for name in judges.classes:
        for _ in range(per_class):
            random = np.random.default_rng([seed, 301, len(names)])
            art = stickers[name][random.integers(len(stickers[name]))]
            share = random.uniform(0.06, 0.3)
            alpha = (art.image[..., 3] > 127).mean() * art.image.shape[0] * art.image.shape[1]
            scale = min(0.95, (share / alpha) ** 0.5 * max(art.image.shape[:2]))
            layer = place_sticker(art, random, SIZE, scale, random.uniform(0.3, 0.7))
            ground = paint_background(tuple(BACKGROUNDS)[random.integers(len(BACKGROUNDS))], random, SIZE)
            images.append(np.clip(ground * (1 - layer[..., 3:]) + layer[..., :3], 0, 255).astype(np.uint8))
            truth.append(layer[..., 3] > 0.5)
            names.append(name)
    with torch.no_grad():
        named = judges.classifier(as_pictures(np.stack(images))).argmax(1).numpy()
    found = segment(judges.segmenter, np.stack(images))
    return {
        "rendered": len(images),
        "segmenter_iou": float(np.mean([iou(a, b) for a, b in zip(found, truth, strict=True)])),
        "recognised": float(np.mean([judges.classes[place] == name for place, name in zip(named, names, strict=True)])),
    }


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Layout IoU against the recognised share, a mark per control."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    for shapes, marker in (("stickers", "o"), ("blobs", "^")):
        for control in CONTROLS:
            mine = [row for row in rows if row["shapes"] == shapes and row["control"] == control]
            if mine:
                x, y = (np.mean([row[key] for row in mine]) for key in ("layout_iou", "recognised"))
                axes.scatter(x, y, marker=marker, color="#2563a8" if marker == "o" else "#c2570c")
                axes.annotate(f"{control} ({shapes})", (x, y), xytext=(5, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel("layout IoU, by a segmenter trained on exact masks")
    axes.set_ylabel("recognised, by a classifier trained on rendered scenes")
    axes.set_xlim(0, 1)
    figure.savefig(path, dpi=130)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--work", type=Path, required=True, help="judges.pt, figures and images are kept there")
    parser.add_argument("--per-class", type=int, default=13)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--controls", nargs="+", default=list(CONTROLS))
    parser.add_argument("--shapes", nargs="+", default=["stickers"], choices=["stickers", "blobs"])
    parser.add_argument("--plot", type=Path, default=None)
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    stickers = load_art(args.packages)
    judges = train_judges(stickers, args.work / "judges.pt")
    print(json.dumps(judges.held_out), flush=True)
    _, labels, masks = render_single(stickers, 320, seed=201)
    shapes = {
        name: [trimmed(mask) for mask, label in zip(masks, labels, strict=True) if label == number and mask.any()]
        for number, name in enumerate(judges.classes)
    }
    print(json.dumps(ceiling(group_by_class(stickers), judges, args.per_class, 0)), flush=True)
    pipeline = load_pipeline("dsfactory/models/pocket", "cpu")
    path = args.work / "layouts.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["shapes"], row["control"], row["seed"], row["layouts"]) for row in rows}
    for kind in args.shapes:
        for seed in args.seeds:
            layouts = layouts_of(shapes if kind == "stickers" else None, judges.classes, args.per_class, seed)
            for name in args.controls:
                if (kind, name, seed, len(layouts)) in done:
                    continue
                kept = args.work / f"{kind}-{name.replace(' ', '')}-{seed}.npz"
                figures = measure(pipeline, layouts, *CONTROLS[name], judges, seed, kept)
                row = {"shapes": kind, "control": name, "seed": seed, **figures}
                rows.append(row)
                print(json.dumps(row), flush=True)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    if args.plot is not None:
        plot(rows, args.plot)


if __name__ == "__main__":
    main()
