"""Measure the masks of `dsfactory annotate` on rendered scenes with exact masks, beside the fixed rules of others.

    python -m research.annotate_measure --packages build/stickers/node_modules/@iconify-json --style openmoji \\
        --scenes 200 --out docs/figures/annotate.json

Every rule sees the same attention maps, read as `dsfactory annotate` reads them (one noisy pass per timestep and draw
of noise):

- `raw ≥ 0.4`, `raw ≥ 0.5`: cross-attention fused over resolutions and stretched to [0, 1], cut at a fixed value (0.4 is
  DAAM's, Tang et al. 2022, arXiv 2210.04885).
- `raw ≥ 0.6, void from 0.5`: the same map cut as Dataset Diffusion does, without its self-attention.
- `raw, Otsu`: the same map cut by Otsu's method.
- `Dataset Diffusion`: cross-attention passed four times along self-attention, stretched, ≥ 0.6 is the class and 0.5 to
  0.6 is void (Nguyen et al. 2023, arXiv 2309.14303, section 3.3).
- `refine`: this package's refine stage with its defaults.
- `refine, untold`: the same, where the model itself judges which of all classes a scene shows (`--judge`).

All but the last are told the classes. Where classes overlap the higher value wins. IoU is that of a class over all
scenes together; void counts as background, and `iou_without_void` leaves void pixels out.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.core.seeds import derive_seed
from dsfactory.models.loading import load_pipeline
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.annotate.presence import Judge
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.fuse import fuse_maps, resize_maps, stretch
from dsfactory.stages.refine.mask import refine_mask
from dsfactory.stages.refine.threshold import otsu_threshold
from scripts.pocket.captions import class_specs
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.scenes import Scene, group_by_class
from scripts.pocket.stickers import CLASS_ICONS, TEST_STYLES, load_stickers

Labels = NDArray[np.uint8]
MIN_PRESENCES = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)


def cut(maps: NDArray[np.float32], thresholds: Sequence[float], void_from: float | None = None) -> Labels:
    """Labels of maps [classes, H, W]: k for the k-th class where its map is highest and reaches its threshold, 255 from
    `void_from` up to there, else 0."""
    best = maps.argmax(0)
    highest = maps.max(0)
    labels = np.where(highest >= np.asarray(thresholds)[best], best + 1, 0).astype(np.uint8)
    if void_from is not None:
        labels[(labels == 0) & (highest >= void_from)] = VOID
    return labels


def labels_by_rule(image: NDArray[np.uint8], evidence: Evidence, config: RefineConfig) -> dict[str, Labels]:
    """Per rule, labels uint8 [H, W]: k for the k-th class of the evidence, 0 background, 255 void."""
    size = image.shape[:2]
    raw = fuse_maps(evidence.cross, size, config.resolution_weights)
    spread = stretch(resize_maps(evidence.affinity[max(evidence.affinity)], size))
    count = len(raw)
    return {
        "raw ≥ 0.4": cut(raw, [0.4] * count),
        "raw ≥ 0.5": cut(raw, [0.5] * count),
        "raw ≥ 0.6, void from 0.5": cut(raw, [0.6] * count, void_from=0.5),
        "raw, Otsu": cut(raw, [otsu_threshold(one) for one in raw]),
        "Dataset Diffusion": cut(spread, [0.6] * count, void_from=0.5),
        "refine": refine_mask(image, evidence.cross, evidence.affinity, range(1, count + 1), config).labels,
    }


class Overlap:
    """IoU per class over many label images of one class list; ids as in masks, from 1."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._counts = np.zeros((2, len(names), 2))
        self._void = [0, 0]

    def add(self, ours: Labels, truth: Labels) -> None:
        self._void[0] += int((ours == VOID).sum())
        self._void[1] += ours.size
        for strict, kept in enumerate((ours != VOID, np.ones(ours.shape, bool))):
            for k in range(len(self.names)):
                a, b = (ours == k + 1) & kept, (truth == k + 1) & kept
                self._counts[strict, k] += (a & b).sum(), (a | b).sum()

    def figures(self) -> dict[str, Any]:
        """`miou` and `iou` per class, `miou_without_void`, and the share of void pixels."""
        lenient, strict = (part[:, 0] / np.maximum(part[:, 1], 1) for part in self._counts)
        return {
            "miou": float(strict.mean()),
            "iou": dict(zip(self.names, strict.tolist(), strict=True)),
            "miou_without_void": float(lenient.mean()),
            "void": self._void[0] / max(1, self._void[1]),
        }


def in_list(labels: Labels, classes: Sequence[str], names: Sequence[str]) -> Labels:
    """Labels that count a scene's own classes as labels that count a class list's."""
    ids = np.arange(256, dtype=np.uint8)
    ids[1 : len(classes) + 1] = [names.index(name) + 1 for name in classes]
    return ids[labels]


def measure_rules(
    annotator: Annotator, scenes: Iterator[Scene], names: Sequence[str], config: RefineConfig
) -> dict[str, dict[str, Any]]:
    """Figures per rule, the classes of each scene being known."""
    overlaps: dict[str, Overlap] = {}
    for number, scene in enumerate(scenes):
        noisy = annotator.noisy(scene.image, derive_seed(6, number))
        evidence = annotator.evidence(noisy, class_specs(scene.classes))
        truth = in_list(scene.labels, scene.classes, names)
        for rule, labels in labels_by_rule(scene.image, evidence, config).items():
            overlaps.setdefault(rule, Overlap(names)).add(in_list(labels, scene.classes, names), truth)
    return {rule: overlap.figures() for rule, overlap in overlaps.items()}


def measure_judgement(
    annotator: Annotator, scenes: Iterator[Scene], names: Sequence[str], config: RefineConfig
) -> dict[str, Any]:
    """How well the model tells which of all classes a scene shows, per `min_presence`, and the masks that follow."""
    judge = Judge(annotator, class_specs(tuple(names)))
    presence, shown = [], []
    default = AnnotateConfig(images="").min_presence
    assert default is not None
    overlap = Overlap(names)
    for number, scene in enumerate(scenes):
        seed = derive_seed(6, number)
        presence.append(judge.presence(scene.image, seed))
        shown.append([name in scene.classes for name in names])
        found = tuple(name for name, sure in zip(names, presence[-1], strict=True) if sure >= default)
        labels = np.zeros(scene.labels.shape, np.uint8)
        if found:
            evidence = annotator.evidence(annotator.noisy(scene.image, seed), class_specs(found))
            refined = refine_mask(scene.image, evidence.cross, evidence.affinity, range(1, len(found) + 1), config)
            labels = in_list(refined.labels, found, names)
        overlap.add(labels, in_list(scene.labels, scene.classes, names))
    return {"min_presence": default, "masks": overlap.figures()} | judgement(np.stack(presence), np.array(shown))


def judgement(scores: NDArray[np.float32], shown: NDArray[np.bool_]) -> dict[str, Any]:
    """How scores [scenes, classes] tell the classes that are shown from the others.

    `auc`: chance that a shown class has more than one that is not; `first_right`: share of scenes whose surest class
    is shown; per `min_presence`, see :func:`decided`.
    """
    right, wrong = scores[shown], scores[~shown]
    return {
        "auc": float((right[:, None] > wrong[None]).mean()),
        "first_right": float(shown[np.arange(len(scores)), scores.argmax(axis=1)].mean()),
        "by_min_presence": {str(limit): decided(scores >= limit, shown) for limit in MIN_PRESENCES},
    }


def decided(found: NDArray[np.bool_], shown: NDArray[np.bool_]) -> dict[str, float]:
    """Precision and recall of decisions [scenes, classes], their F1, and the share of scenes without a mistake."""
    hits = (found & shown).sum()
    return {
        "precision": float(hits / max(1, found.sum())),
        "recall": float(hits / shown.sum()),
        "f1": float(2 * hits / (found.sum() + shown.sum())),
        "faultless": float((found == shown).all(axis=1).mean()),
    }


def build_annotator(model: str, device: str) -> Annotator:
    """An annotator with the command's defaults for a model that draws squares of its own size."""
    pipeline = load_pipeline(model, device=device)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    config = AnnotateConfig(images="")
    return Annotator(pipeline, timesteps=config.timesteps, seeds=config.seeds, width=side, height=side)


def scenes_parser(page: str | None, style: Sequence[str], scenes: int, seed: int) -> argparse.ArgumentParser:
    """The command line of what is measured on rendered scenes: the script's text as help, and its defaults."""
    parser = argparse.ArgumentParser(description=page, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--style", "--styles", default=",".join(style), help="package names, separated by commas")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--scenes", type=int, default=scenes)
    parser.add_argument("--size", type=int, default=128, help="side of a scene in pixels")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON")
    return parser


def write_figures(path: Path, figures: Any) -> None:
    """Write figures as JSON, and the folder for them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = scenes_parser(__doc__, TEST_STYLES, scenes=200, seed=105)
    parser.add_argument(
        "--classes", default=None, help="class names, separated by commas [default: all that are there]"
    )
    parser.add_argument("--judge", type=int, default=64, help="scenes in which the model judges the classes; 0: none")
    args = parser.parse_args(argv)
    icons = {name: CLASS_ICONS[name] for name in args.classes.split(",")} if args.classes is not None else None
    stickers = load_stickers(args.packages, tuple(args.style.split(",")), icons)
    names = tuple(group_by_class(stickers))
    annotator = build_annotator(args.model, args.device)
    config = RefineConfig()
    figures: dict[str, Any] = {
        "model": Path(args.model).name,
        "style": args.style,
        "scenes": args.scenes,
        "size": args.size,
        "rules": measure_rules(annotator, rendered_scenes(stickers, args.scenes, args.seed, args.size), names, config),
    }
    if args.judge:
        scenes = rendered_scenes(stickers, args.judge, args.seed, args.size)
        figures["judged_scenes"] = args.judge
        figures["classes_judged"] = measure_judgement(annotator, scenes, names, config)
    print(table(figures))
    if args.out is not None:
        write_figures(args.out, figures)


def table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table, and what is said about the judgement."""
    lines = ["| rule | mean IoU | void left out | void |", "| --- | --- | --- | --- |"]
    rows = dict(figures["rules"])
    judged = figures.get("classes_judged")
    if judged:
        rows[f"refine, untold ({figures['judged_scenes']} scenes)"] = judged["masks"]
    for rule, row in rows.items():
        lines.append(f"| {rule} | {row['miou']:.3f} | {row['miou_without_void']:.3f} | {row['void']:.3f} |")
    if judged:
        lines += ["", f"untold: AUC {judged['auc']:.3f}, surest class right {judged['first_right']:.3f}"]
        for limit, row in judged["by_min_presence"].items():
            mark = " (default)" if float(limit) == judged["min_presence"] else ""
            figures_of = ", ".join(f"{name} {value:.3f}" for name, value in row.items())
            lines.append(f"min_presence {limit}{mark}: {figures_of}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
