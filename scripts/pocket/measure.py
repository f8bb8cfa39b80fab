"""Measure the pocket model: is it recognisable, does its attention find things, is it alive?

    python -m scripts.pocket.measure --model dsfactory/models/pocket --packages node_modules/@iconify-json \\
        --captions CAPTIONS.jsonl.gz --work DIR [--json FILE]

1. **Recognised**: a classifier trained on rendered scenes of the training styles names the class of drawn single-object
   pictures. Its own accuracy on held-out scenes is printed beside.
2. **Masks**: rendered scenes with exact masks, in the training styles and in a style that was never trained on, are
   encoded, noised and passed through the UNet once per timestep and noise seed; the attention to the class's word makes
   the mask. On drawn pictures there is no truth: their masks are compared with a foreground network's, whose own IoU on
   held-out scenes is printed beside, so that figure carries both networks' errors.
3. **Alive**: distance of two seeds of one prompt in the classifier's features, relative to two rendered scenes of that
   class; and how often the background's colour is nearest to the one that the prompt's place word asks for.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from dsfactory.core.seeds import derive_seed
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.fuse import fuse_maps, resize_maps
from dsfactory.stages.refine.mask import refine_mask
from scripts.pocket.art import load_art
from scripts.pocket.captions import PLACES, class_specs, draw_caption, load_captions, template_caption
from scripts.pocket.judges import Judges, as_pictures, overlap, render_single, segment, train_judges
from scripts.pocket.scenes import BACKGROUNDS, Scene, compose_scene, group_by_class, paint_background
from scripts.pocket.stickers import TEST_STYLES, Sticker, load_stickers

TIMESTEPS = (100, 200, 300, 400)
NOISE_SEEDS = 3
SIZE = 128
AFFINITY_WEIGHTS = (0.0, 0.5, 1.0)
FIXED = (0.3, 0.35, 0.4, 0.45, 0.5)


def rendered_scenes(stickers: list[Sticker], count: int, seed: int, size: int = SIZE) -> Iterator[Scene]:
    """Scenes of one and of two classes in turns; scene n depends on (seed, n) and the stickers alone."""
    groups = group_by_class(stickers)
    names, kinds = tuple(groups), tuple(BACKGROUNDS)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        second = names[(number + 1 + rng.integers(len(names) - 1)) % len(names)]
        classes = (names[number % len(names)], second)[: 1 + (number // len(names)) % 2]
        yield compose_scene(groups, classes, kinds[rng.integers(len(kinds))], rng, size)


def read_scene(annotator: Annotator, scene: Scene, number: int) -> Evidence:
    """Attention to the classes of a scene, as `dsfactory annotate` reads it."""
    return annotator.evidence(annotator.noisy(scene.image, derive_seed(6, number)), class_specs(scene.classes))


def masks_by_rule(image: np.ndarray, evidence: Evidence) -> dict[str, np.ndarray]:
    """Per rule, uint8 [H, W]: k for the k-th class, 0 background, 255 void."""
    fused = fuse_maps(evidence.cross, image.shape[:2], {16: 1.0})
    affinity = resize_maps(evidence.affinity[max(evidence.affinity)].astype(np.float32), image.shape[:2])
    rules = {}
    for name, maps in (("cross", fused), ("affinity", affinity)):
        best = maps.argmax(0).astype(np.uint8) + 1
        for threshold in FIXED:
            rules[f"{name} ≥ {threshold}"] = np.where(maps.max(0) >= threshold, best, 0).astype(np.uint8)
    ids = range(1, len(fused) + 1)
    for weight in AFFINITY_WEIGHTS:
        refined = refine_mask(image, evidence.cross, evidence.affinity, ids, RefineConfig(affinity_weight=weight))
        rules[f"refine, affinity weight {weight}"] = refined.labels
    return rules


def measure_masks(
    pipeline: StableDiffusionPipeline, stickers: list[Sticker], count: int, seed: int
) -> dict[str, dict[str, float]]:
    """Per rule: IoU of each class over all scenes together, and their mean; void counts as background."""
    names = tuple(group_by_class(stickers))
    annotator = Annotator(pipeline, timesteps=TIMESTEPS, seeds=NOISE_SEEDS, width=SIZE, height=SIZE)
    counts: dict[str, np.ndarray] = {}
    for number, scene in enumerate(rendered_scenes(stickers, count, seed)):
        for rule, labels in masks_by_rule(scene.image, read_scene(annotator, scene, number)).items():
            table = counts.setdefault(rule, np.zeros((len(names), 2)))
            for k, name in enumerate(scene.classes, start=1):
                ours, truth = labels == k, scene.labels == k
                table[names.index(name)] += (ours & truth).sum(), (ours | truth).sum()
    return {
        rule: dict(zip(names, (table[:, 0] / table[:, 1]).tolist(), strict=True))
        | {"mean": float((table[:, 0] / table[:, 1]).mean())}
        for rule, table in counts.items()
    }


def draw(sampler: Sampler, requests: list[tuple[str, str, int]]) -> tuple[np.ndarray, list[Evidence]]:
    """Draw (class, prompt, seed) triples: uint8 [N, 128, 128, 3], and the evidence of each.

    Raises:
        RuntimeError: a picture failed (not a number, or one flat colour): the model is broken.
    """
    images, evidence = [], []
    for drawing in sampler.draw([Request(prompt, seed, class_specs((name,))) for name, prompt, seed in requests]):
        if drawing.image is None or drawing.evidence is None:
            raise RuntimeError(drawing.reason)
        images.append(drawing.image)
        evidence.append(drawing.evidence)
    return np.stack(images), evidence


def measure_drawings(
    sampler: Sampler, judges: Judges, captions: dict[tuple[str, ...], list[str]], per_class: int
) -> dict[str, Any]:
    """Share of drawn pictures whose class is recognised, and agreement of their masks with the foreground network."""
    requests: list[tuple[str, str, int]] = []
    for name in judges.classes:
        for number in range(per_class):
            rng = np.random.default_rng([7, len(requests)])
            prompt = template_caption((name,), None, rng) if number % 2 else draw_caption((name,), captions, rng)[0]
            requests.append((name, prompt, derive_seed(7, name, number)))
    images, evidence = draw(sampler, requests)
    with torch.no_grad():
        named = judges.classifier(as_pictures(images)).argmax(1).numpy().reshape(-1, per_class)
    right = named == np.arange(len(judges.classes))[:, None]
    foreground = segment(judges.segmenter, images)
    agreement = {}
    for weight in AFFINITY_WEIGHTS:
        config = RefineConfig(affinity_weight=weight)
        masks = [
            refine_mask(image, one.cross, one.affinity, (1,), config).labels == 1
            for image, one in zip(images, evidence, strict=True)
        ]
        agreement[f"refine, affinity weight {weight}"] = overlap(np.stack(masks), foreground)
    return {
        "recognised": dict(zip(judges.classes, right.mean(1).tolist(), strict=True)) | {"mean": float(right.mean())},
        "mask_agreement_with_segmenter": agreement,
    }


def spread_of(features: torch.Tensor) -> float:
    """Mean distance of pairs of rows."""
    return float(torch.pdist(features).mean())


def measure_life(sampler: Sampler, judges: Judges, stickers: list[Sticker], per_class: int) -> dict[str, float]:
    """Diversity over seeds relative to rendered scenes, and the share of backgrounds that obey the place word."""
    drawn, rendered = [], []
    images, labels, _ = render_single(stickers, per_class * len(judges.classes), seed=103)
    for k, name in enumerate(judges.classes):
        pictures, _ = draw(sampler, [(name, f"a photo of a {name}", derive_seed(8, name, n)) for n in range(per_class)])
        with torch.no_grad():
            drawn.append(spread_of(judges.classifier.features(as_pictures(pictures))))
            rendered.append(spread_of(judges.classifier.features(as_pictures(images[labels == k]))))
    palette = {
        kind: np.mean([border_colour(paint_background(kind, np.random.default_rng([9, n]), SIZE)) for n in range(8)], 0)
        for kind in BACKGROUNDS
    }
    requests = [
        (name, f"a photo of a {name} {PLACES[kind][0]}", derive_seed(10, name, kind))
        for name in judges.classes
        for kind in PLACES
    ]
    hits = 0
    for (_, prompt, _), image in zip(requests, draw(sampler, requests)[0], strict=True):
        colour = border_colour(image.astype(np.float32))
        nearest = min(palette, key=lambda kind: float(np.linalg.norm(palette[kind] - colour)))
        hits += PLACES[nearest][0] in prompt
    return {
        "diversity_relative_to_rendered": float(np.mean(drawn) / np.mean(rendered)),
        "background_obeys_place_word": hits / len(requests),
    }


def border_colour(image: np.ndarray) -> np.ndarray:
    """Median colour of the outer eighth, top and bottom apart: [6]; stickers seldom reach there."""
    edge = image.shape[0] // 8
    return np.concatenate([np.median(part.reshape(-1, 3), axis=0) for part in (image[:edge], image[-edge:])])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the packaged pocket model")
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--captions", type=Path, required=True, help="COCO captions, gzipped JSON lines")
    parser.add_argument("--work", type=Path, required=True, help="the judging networks are kept there (judges.pt)")
    parser.add_argument("--per-class", type=int, default=16, help="drawn pictures per class and figure")
    parser.add_argument("--scenes", type=int, default=128, help="rendered scenes per style for the masks")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--json", type=Path, default=None, help="write the figures there too")
    args = parser.parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    pipeline = StableDiffusionPipeline.from_pretrained(args.model)
    sampler = Sampler(
        pipeline,
        width=SIZE,
        height=SIZE,
        steps=args.steps,
        guidance=args.guidance,
        find_mentions=find_mentions,
        batch_size=16,
    )
    train_stickers, test_stickers = load_art(args.packages), load_stickers(args.packages, TEST_STYLES)
    judges = train_judges(train_stickers, args.work / "judges.pt")
    figures: dict[str, Any] = {"steps": args.steps, "guidance": args.guidance, "judges": judges.held_out}
    figures |= measure_drawings(sampler, judges, load_captions(args.captions), args.per_class)
    figures |= measure_life(sampler, judges, train_stickers, args.per_class)
    figures["mask_iou_training_styles"] = measure_masks(pipeline, train_stickers, args.scenes, seed=104)
    figures["mask_iou_unseen_style"] = measure_masks(pipeline, test_stickers, args.scenes, seed=105)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    print(text)
    if args.json is not None:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
