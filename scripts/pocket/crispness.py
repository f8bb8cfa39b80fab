"""How near decoded pictures come to rendered ones: the Fréchet distance of their features.

    python -m scripts.pocket.crispness --model dsfactory/models/pocket --work DIR

As the Fréchet inception distance (Heusel et al. 2017, arXiv 1706.08500), but of EfficientNet-Lite0's features at every
place of 1/16 of the picture, relative to the variance of the rendered ones. Compares held-out scenes of the work folder
with others of them, with themselves encoded and decoded, and with what the model drew (`drawn.pt`, of `train_decoder`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from scripts.pocket.realism import Features
from scripts.pocket.train_vae import psnr, to_tensor, train_count

BATCH = 20
OTHERS = 0.4
"""Share of the held-out scenes that the others are compared with."""


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Of two sets of features [N, C], N > C, relative to the variance of the first; 0 for the same distribution."""
    means = first.mean(0), second.mean(0)
    covariances = torch.cov(first.T), torch.cov(second.T)
    root = _root(covariances[0])
    cross = _root(root @ covariances[1] @ root).trace()
    total = (means[0] - means[1]).square().sum() + covariances[0].trace() + covariances[1].trace() - 2 * cross
    return (total / covariances[0].trace()).item()


def _root(matrix: Tensor) -> Tensor:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


@torch.no_grad()
def measure(vae: AutoencoderTiny, scenes: np.ndarray, drawn: Tensor | None) -> dict[str, float]:
    """Distances by name, and the PSNR in dB; scenes uint8 [N, H, W, 3], drawn latents [N, 8, H/8, W/8]."""
    features = Features()

    def places(batches: Sequence[Tensor]) -> Tensor:
        maps = torch.cat([features(batch)[-1] for batch in batches])
        return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).double()

    count = round(len(scenes) * (1 - OTHERS))
    rendered = to_tensor(scenes[:count], torch.device("cpu")).split(BATCH)
    others = to_tensor(scenes[count:], torch.device("cpu")).split(BATCH)
    coded = [vae.decode(vae.encode(batch).latents).sample.clamp(-1, 1) for batch in rendered]
    truth = places(rendered)
    found = {"psnr": psnr(torch.cat(coded), torch.cat(rendered)), "rendered": frechet_distance(truth, places(others))}
    found["coded"] = frechet_distance(truth, places(coded))
    if drawn is not None:
        pictures = [vae.decode(batch).sample.clamp(-1, 1) for batch in drawn[:count].split(BATCH)]
        found["drawn"] = frechet_distance(truth, places(pictures))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the packaged model")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder with images.npy and, if there is one, drawn.pt"
    )
    args = parser.parse_args(argv)
    images = np.load(args.work / "images.npy", mmap_mode="r")
    held_out = np.array(images[train_count(images) :])
    path = args.work / "drawn.pt"
    drawn = torch.load(path, weights_only=True) if path.exists() else None
    vae = AutoencoderTiny.from_pretrained(args.model, subfolder="vae")
    for name, value in measure(vae, held_out, drawn).items():
        print(f"{name} {value:.4f}")


if __name__ == "__main__":
    main()
