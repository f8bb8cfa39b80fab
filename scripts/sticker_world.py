"""Render a segmentation data set with exact masks from sticker packages, in the layout of PASCAL VOC.

    npm install --prefix build/stickers @iconify-json/openmoji
    python -m scripts.sticker_world --packages build/stickers/node_modules/@iconify-json --styles openmoji \\
        --classes dog,bird --num 200 --out build/sticker_world

Writes `JPEGImages/NNNNNN.jpg`, `SegmentationClass/NNNNNN.png` (palette PNG: 0 background, k the k-th class),
`ImageSets/Segmentation/{train,val,trainval}.txt` (every fifth scene is for validation) and `labelmap.txt`
(`name:r,g,b::`, as CVAT and Datumaro write it). The same arguments give the same bytes.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dsfactory.core.png import encode_index_png, voc_palette
from scripts.pocket.dataset import draw_classes
from scripts.pocket.scenes import BACKGROUNDS, compose_scene, group_by_class
from scripts.pocket.stickers import CLASS_ICONS, TEST_STYLES, Sticker, drawn_classes, load_stickers

JPEG_QUALITY = 95


def render_world(stickers: list[Sticker], classes: tuple[str, ...], num: int, seed: int, size: int, out: Path) -> None:
    """Write `num` scenes of `size`² pixels; scene n depends on (seed, n), the classes and their stickers alone.

    Raises:
        FileExistsError: `out` is a folder with something in it, or a file.
    """
    if out.is_file() or (out.exists() and any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty: name a new folder")
    groups = group_by_class(stickers)
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (out / folder).mkdir(parents=True)
    names = []
    for number in range(num):
        rng = np.random.default_rng([seed, number])
        chosen = draw_classes(classes, rng)
        background = tuple(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
        scene = compose_scene(groups, chosen, background, rng, size)
        ids = np.array([0, *(classes.index(name) + 1 for name in chosen)], np.uint8)
        names.append(f"{number:06d}")
        Image.fromarray(scene.image).save(out / "JPEGImages" / f"{names[-1]}.jpg", quality=JPEG_QUALITY)
        (out / "SegmentationClass" / f"{names[-1]}.png").write_bytes(encode_index_png(ids[scene.labels]))
    val = names[4::5]
    splits = {"train": [name for name in names if name not in set(val)], "val": val, "trainval": names}
    for split, members in splits.items():
        text = "".join(f"{name}\n" for name in members)
        (out / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(text, encoding="utf-8")
    palette = voc_palette()
    lines = [
        f"{name}:{','.join(str(value) for value in palette[3 * index : 3 * index + 3])}::\n"
        for index, name in enumerate(("background", *classes))
    ]
    (out / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(lines), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--styles", default=",".join(TEST_STYLES), help="package names, separated by commas")
    parser.add_argument(
        "--classes", default=None, help="class names, separated by commas [default: all that are there]"
    )
    parser.add_argument("--num", type=int, default=200, help="number of scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="side of a scene in pixels")
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder")
    args = parser.parse_args(argv)
    styles = tuple(style.strip() for style in args.styles.split(","))
    classes = tuple(name.strip() for name in args.classes.split(",")) if args.classes is not None else ()
    unknown = [name for name in classes if name not in CLASS_ICONS]
    if unknown:
        parser.error(f"no stickers for {', '.join(unknown)}; there are {', '.join(CLASS_ICONS)}")
    try:
        classes = classes or drawn_classes(args.packages, styles)
        stickers = load_stickers(args.packages, styles, {name: CLASS_ICONS[name] for name in classes})
        render_world(stickers, classes, args.num, args.seed, args.size, args.out)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{args.num} scenes of {', '.join(classes)} in {args.out}")


if __name__ == "__main__":
    main()
