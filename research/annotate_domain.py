"""Make the reference by which `dsfactory annotate` tells pictures that are foreign to the pocket model.

    python -m research.annotate_domain --packages build/stickers/node_modules/@iconify-json

Writes `dsfactory/stages/annotate/domain-pocket.safetensors` and prints how many pictures of each kind are foreign.

- Reference: 800 rendered scenes of the styles that the model learnt, every fourth on plain paper.
- Unseen: of each style in turn, 100 scenes are compared with a reference of all other styles: a style that the model
  did not see must pass.
- Photographs: none come with dsfactory. Dead leaves (Lee, Mumford and Huang 2001), which have their statistics of edges
  and scales, with textures and shading, and coloured noise stand for them.
- Limit: the geometric middle of the distance below which 99 % of the unseen lie, and that above which 99 % of each of
  the others lie. `--photos` adds a folder of real ones, cut into 200 random squares, to the table; the
  rule for the limit was settled after they had been seen once under another one.

The style that is kept for testing is measured with `--test`, once, when all is chosen.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

import dsfactory.stages.annotate.domain as domain
from dsfactory.embed.network import SIZE, Features
from dsfactory.stages.annotate.domain import Reference
from scripts.pocket.art import load_art
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.stickers import TEST_STYLES, TRAIN_STYLES, Sticker, load_stickers

COMPONENTS = 32
SHARE = 0.99
"""Of the pictures of unseen styles that are to pass, and of those like photographs that are not."""

Images = Iterator[NDArray[np.uint8]]


def scenes(stickers: Sequence[Sticker], count: int, seed: int) -> Images:
    """Scenes; every fourth has its sticker on plain paper, at a larger size, as people draw and scan."""
    rng = np.random.default_rng([seed, 1])
    for number, scene in enumerate(rendered_scenes(list(stickers), count, seed)):
        if number % 4:
            yield scene.image
        else:
            yield on_paper(stickers[rng.integers(len(stickers))], rng)


def on_paper(sticker: Sticker, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A sticker on white or on one pale colour, uint8 (256, 256, 3)."""
    paper = np.full((256, 256, 3), 255 - rng.integers(0, 60, 3) * rng.integers(0, 2), np.uint8)
    side = int(rng.integers(120, 230))
    art = cv2.resize(sticker.image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = rng.integers(0, 256 - side, 2)
    part, alpha = paper[y : y + side, x : x + side], art[..., 3:] / 255
    part[:] = np.clip(art[..., :3] * alpha + part * (1 - alpha), 0, 255)
    return paper


def dead_leaves(count: int, seed: int) -> Images:
    """Overlapping discs whose sizes follow a power law, each with a colour, a texture and a shade of its own."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        size = 192
        image = np.zeros((size, size, 3), np.float32)
        y, x = np.mgrid[:size, :size].astype(np.float32)
        tint = rng.uniform(40, 215, 3)
        for _ in range(150):
            radius = min(size / 2, 5 / (rng.random() + 0.02) ** 0.7)
            centre = rng.uniform(0, size, 2)
            inside = np.hypot(x - centre[0], y - centre[1]) < radius
            side = int(rng.integers(4, 48))
            texture = cv2.resize(rng.normal(0, 1, (side, side)).astype(np.float32), (size, size))
            shade = 1 + 0.3 * ((x - centre[0]) * rng.normal() + (y - centre[1]) * rng.normal()) / radius
            colour = tint + rng.normal(0, 35, 3)
            leaf = colour * np.clip(shade, 0.2, 1.8)[..., None] + rng.uniform(3, 18) * texture[..., None]
            image[inside] = leaf[inside]
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5)) + rng.normal(0, rng.uniform(1, 6), image.shape)
        yield np.clip(image, 0, 255).astype(np.uint8)


def noise(count: int, seed: int) -> Images:
    """Coloured noise whose amplitude falls with frequency, as that of photographs does."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
        frequency[0, 0] = 1
        spectrum = np.fft.fft2(rng.normal(0, 1, (3, 256, 256))) / frequency ** rng.uniform(0.8, 1.3)
        field = np.fft.ifft2(spectrum).real
        field = (field - field.mean((1, 2), keepdims=True)) / field.std((1, 2), keepdims=True)
        yield np.clip(rng.uniform(80, 170, 3)[:, None, None] + 45 * field, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def squares(folder: Path, count: int, seed: int) -> Images:
    """Random squares of the photographs in a folder, from a third of the shorter side to all of it."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    images = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        image = images[number % len(images)]
        height, width, _ = image.shape
        side = int(rng.uniform(0.33, 1) * min(height, width))
        y, x = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        yield image[y : y + side, x : x + side]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photographs")
    parser.add_argument("--test", action="store_true", help="measure the style that is kept for testing too")
    args = parser.parse_args()
    features = Features()

    def of(images: Images) -> NDArray[np.float32]:
        return np.stack([features(image) for image in images])

    art = load_art(args.packages)
    by_style = {style: [one for one in art if one.style == style] for style in TRAIN_STYLES}
    known = of(scenes(art, 800, 0))
    alone = {style: of(scenes(stickers, 100, 1)) for style, stickers in by_style.items()}
    others = {
        style: Reference.of(of(scenes([one for one in art if one.style != style], 500, 2)), COMPONENTS)
        for style in by_style
    }
    unseen = {style: [others[style].distance(one) for one in alone[style]] for style in by_style}
    reference = Reference.of(known, COMPONENTS)
    kinds: dict[str, Images] = {"dead leaves": dead_leaves(100, 3), "noise": noise(200, 3)}
    far = {kind: of(images) for kind, images in kinds.items()}
    near = float(np.quantile(np.concatenate([*unseen.values()]), SHARE))
    beyond = min(float(np.quantile([reference.distance(one) for one in found], 1 - SHARE)) for found in far.values())
    limit = (near * beyond) ** 0.5
    path = Path(domain.__file__).with_name("domain-pocket.safetensors")
    save_file(
        {
            "mean": reference.mean, "axes": np.ascontiguousarray(reference.axes.astype(np.float16)),
            "scale": reference.scale, "rest": np.array([reference.rest], np.float32),
            "limit": np.array([limit], np.float32),
        },
        path,
    )  # fmt: skip
    written = Reference.read("pocket")
    assert written is not None
    rows = {f"{style}, unseen": np.array(values) / limit for style, values in unseen.items()}
    if args.photos:
        far["photographs"] = of(squares(args.photos, 200, 3))
    if args.test:
        far[f"{TEST_STYLES[0]} (test)"] = of(scenes(load_stickers(args.packages, TEST_STYLES), 200, 3))
    rows |= {kind: np.array([written.distance(one) for one in found]) for kind, found in far.items()}
    print(f"{path.stat().st_size / 1000:.0f} kB, side {SIZE}, {COMPONENTS} components, limit {limit:.2f}")
    print("| pictures | 1 % | median | 99 % | foreign |\n| --- | --- | --- | --- | --- |")
    for kind, values in rows.items():
        low, middle, high = np.quantile(values, (0.01, 0.5, 0.99))
        print(f"| {kind} | {low:.2f} | {middle:.2f} | {high:.2f} | {np.mean(values > 1):.1%} |")


if __name__ == "__main__":
    main()
