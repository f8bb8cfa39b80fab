"""Render the test beds' training scenes and encode them: latents and captions only, so that no mask can enter.

    python -m research.testbeds.dataset --packages node_modules/@iconify-json --captions CAPTIONS.jsonl.gz --work DIR

Writes `latents.npy` (float16 [N, 8, 16, 16], by the coder of the pocket model), `captions.txt` (a line a scene) and
`tokenizer/`. Stopped, it goes on with the same command.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny

from research.testbeds.world import render
from scripts.pocket.art import load_art
from scripts.pocket.captions import load_captions
from scripts.pocket.scenes import group_by_class
from scripts.pocket.text import train_tokenizer
from scripts.pocket.train_vae import to_tensor

SIZE = 128
POCKET = Path(__file__).parents[2] / "dsfactory" / "models" / "pocket"
CHUNK = 128
TRAINING_SEED = 20


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--captions", type=Path, required=True, help="COCO captions, gzipped JSON lines")
    parser.add_argument("--work", type=Path, required=True, help="work folder, created if missing")
    parser.add_argument("--num", type=int, default=24000, help="number of scenes")
    args = parser.parse_args(argv)
    if (args.work / "captions.txt").exists():
        sys.exit(f"{args.work} is finished")
    cv2.setNumThreads(1)
    parts = args.work / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    groups = group_by_class(load_art(args.packages))
    captions = load_captions(args.captions)
    vae = AutoencoderTiny.from_pretrained(POCKET / "vae").float().eval()
    for start in range(0, args.num, CHUNK):
        path = parts / f"{start:06d}.npy"
        if path.exists():
            continue
        numbers = range(start, min(start + CHUNK, args.num))
        scenes = [render(groups, captions, TRAINING_SEED, SIZE, number) for number in numbers]
        with torch.no_grad():
            pixels = to_tensor(np.stack([scene.image for scene in scenes]), torch.device("cpu"))
            latents = vae.encode(pixels).latents.half().numpy()
        path.with_suffix(".txt").write_text("".join(f"{scene.caption}\n" for scene in scenes), encoding="utf-8")
        with path.with_suffix(".part").open("wb") as file:
            np.save(file, latents)
        path.with_suffix(".part").rename(path)
    files = sorted(parts.glob("*.npy"))
    np.save(args.work / "latents.npy", np.concatenate([np.load(file) for file in files]))
    texts = "".join(file.with_suffix(".txt").read_text(encoding="utf-8") for file in files)
    with gzip.open(args.captions, "rt", encoding="utf-8") as lines:
        corpus = [json.loads(line)["caption"] for line in lines]
    train_tokenizer(corpus + texts.splitlines()).save_pretrained(args.work / "tokenizer")
    (args.work / "captions.txt").write_text(texts, encoding="utf-8")
    print(f"{args.num} scenes in {args.work}")


if __name__ == "__main__":
    main()
