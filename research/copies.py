"""How well copies of reference images are found: recall per kind of copy, and false alarms on other images.

References and others are rendered scenes of the styles that the pocket model learnt; copies are made of the references.
``python -m research.copies --art ART [--num 200] [--seeds 3]`` prints a table; the limit was chosen on seed 0.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.embed.cache import THUMB, Embedded
from dsfactory.embed.copies import LIKENESS, Copy, find_copies
from dsfactory.embed.duplicates import perceptual_hash
from dsfactory.embed.network import Features
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.stickers import TEST_STYLES, TRAIN_STYLES, load_stickers

Pixels = NDArray[np.uint8]


def mirrored(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(image[:, ::-1])


def cut(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Between 70 and 100 % of the area, of another shape, anywhere."""
    height, width = image.shape[:2]
    share, shape = rng.uniform(0.7, 1), rng.uniform(0.9, 1.1)
    high, wide = (min(1.0, float(np.sqrt(share) * one)) for one in (shape, 1 / shape))
    high = max(high, 0.7 / wide)
    rows, columns = int(height * high), int(width * wide)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return image[top : top + rows, left : left + columns]


def jpeg(image: Pixels, rng: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer).convert("RGB"))


def recoloured(image: Pixels, rng: np.random.Generator) -> Pixels:
    return (image * rng.uniform(0.8, 1.2, 3)).clip(0, 255).astype(np.uint8)


def half(image: Pixels, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def repainted(image: Pixels, rng: np.random.Generator) -> Pixels:
    """What a light image-to-image leaves: softened, with grain, and a tenth of the cells painted over."""
    soft = cv2.GaussianBlur(image, (0, 0), 1.2).astype(np.float32) + rng.normal(0, 8, image.shape)
    cells = rng.random((8, 8)) < 0.1
    inside = cv2.resize(cells.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    soft[inside] = cv2.GaussianBlur(image, (0, 0), 6)[inside] * rng.uniform(0.8, 1.2, 3)
    return soft.clip(0, 255).astype(np.uint8)


def several(image: Pixels, rng: np.random.Generator) -> Pixels:
    return jpeg(recoloured(cut(mirrored(image, rng), rng), rng), rng)


KINDS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "mirrored": mirrored, "cut to 70 % or more": cut, "JPEG 40": jpeg, "colour ± 20 %": recoloured,
    "half size": half, "lightly repainted": repainted, "mirrored, cut, recoloured, JPEG": several,
}  # fmt: skip


def embedded(images: list[Pixels], features: Features) -> Embedded:
    thumbs = [cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA) for image in images]
    hashes = [np.frombuffer(perceptual_hash(image), np.uint8) for image in images]
    return Embedded(np.stack([features(image) for image in images]), np.stack(hashes), np.stack(thumbs))


def _likeness(found: list[Copy | None]) -> NDArray[np.float64]:
    return np.array([one.likeness if one is not None else -1 for one in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--art", type=Path, required=True, help="folder of @iconify-json")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test-styles", action="store_true", help="styles that nothing was chosen on")
    options = parser.parse_args()
    features = Features()
    stickers = load_stickers(options.art, TEST_STYLES if options.test_styles else TRAIN_STYLES)
    rows: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        images = [scene.image for scene in rendered_scenes(stickers, 2 * options.num, seed)]
        references, others = images[: options.num], images[options.num :]
        known = embedded(references, features)
        for name, change in KINDS.items():
            copies = embedded([change(image, rng) for image in references], features)
            found = find_copies(copies, [known])
            right = [
                one is not None and one.reference == place and one.likeness >= LIKENESS
                for place, one in enumerate(found)
            ]
            rows.setdefault(f"recall, {name}", []).append(float(np.mean(right)))
            rows.setdefault(f"5th percentile, {name}", []).append(float(np.quantile(_likeness(found), 0.05)))
        found = find_copies(embedded(others, features), [known])
        likeness = _likeness(found)
        rows.setdefault("false alarms", []).append(float(np.mean(likeness >= LIKENESS)))
        rows.setdefault("99th percentile of others' likeness", []).append(float(np.quantile(likeness, 0.99)))
    for name, values in rows.items():
        print(f"| {name} | {np.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)}) |")
    print(json.dumps({"num": options.num, "seeds": options.seeds, "limit": LIKENESS}))


if __name__ == "__main__":
    main()
