"""Does the adaptive threshold choose what the exhaustive sweep of DiffuMask chooses, and how much faster?

    python -m research.threshold_agreement --packages node_modules/@iconify-json --seed 211 \\
        --json docs/figures/threshold-211.json

Rendered scenes of the training styles, at 128² and at 512² (``--large``), are encoded, noised and passed through the
pocket model's UNet, as in ``scripts.pocket.measure``. For every class of every scene the threshold is chosen twice: by
refine's sweep, and by a dense CRF of its own at full size for every one of the 20 candidates; the same rule
(:func:`dsfactory.stages.refine.threshold.choose_threshold`) reads the threshold off either. Choices are the same when
they differ by no more than half a step of the sweep. Times are seconds of one core per scene, all classes; the quick
choice is timed with its lattice.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch
from diffusers import StableDiffusionPipeline

from benchmarks.machine import machine
from benchmarks.masks import measure
from dsfactory.crf.thumbnail import THUMBNAIL_SIDE
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.threshold import CLOSE, STRIDE
from scripts.pocket.measure import NOISE_SEEDS, SIZE, TIMESTEPS, read_scene, rendered_scenes
from scripts.pocket.scenes import Scene
from scripts.pocket.stickers import TRAIN_STYLES, load_stickers


def look(annotator: Annotator, scenes: list[Scene]) -> list[Evidence]:
    """The pocket model's attention maps of each scene, which it sees at its own size."""
    small = [
        replace(scene, image=cv2.resize(scene.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)) for scene in scenes
    ]
    return [read_scene(annotator, scene, number) for number, scene in enumerate(small)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--model", type=Path, default=Path("dsfactory/models/pocket"))
    parser.add_argument("--scenes", type=int, default=64, help="scenes of 128²")
    parser.add_argument("--large", type=int, default=40, help="scenes of 512²")
    parser.add_argument("--seed", type=int, default=106)
    parser.add_argument("--json", type=Path, default=None, help="write the figures there too")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pipeline: Any = StableDiffusionPipeline.from_pretrained(args.model)  # type: ignore[no-untyped-call]
    annotator = Annotator(pipeline, timesteps=TIMESTEPS, seeds=NOISE_SEEDS, width=SIZE, height=SIZE)
    stickers = load_stickers(args.packages, TRAIN_STYLES)
    figures: dict[str, Any] = {
        "machine": machine(),
        "close": CLOSE,
        "stride": STRIDE,
        "sweep_side": THUMBNAIL_SIDE,
    }
    for side, count in ((SIZE, args.scenes), (512, args.large)):
        if count:
            scenes = list(rendered_scenes(stickers, count, args.seed, side))
            figures[f"{side}x{side}"] = measure(scenes, look(annotator, scenes))
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json is not None:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
