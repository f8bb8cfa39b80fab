"""How many of a run's masks are halos, with the rule of refine against them and without, and what the rule costs.

    dsfactory run --classes aeroplane,bird,boat,car,dog,horse --num 50 --objects 1-3 --seed 1 --out runs/halos-1
    python -m research.halos runs/halos-1 --sheets build/halos-1
    python -m research.halos runs/halos-1 --seen docs/figures/halos-seen.json --out docs/figures/halos.json

A generated image has no exact mask, so who looks at it is the judge, not the rule: ``--sheets`` shows each image of
several classes with its masks, those without the rule beside those with it. What is not the object is written down by
hand in ``--seen``, per seed of the run: ``{"1": {"halo": [[number, "class"], ...], "other": [...]}}``, ``other`` for a
mask on another class's object. The file names masks of both arms; one that it does not name is true. ``--out`` keeps
the figures of other seeds.

Of each arm: the masks kept, those of them that are halos and on another object, and (with the rule) the true masks of
the other arm that are gone, and the true ones that it has and the other has not. An arm is made of the stored
attention; `refine.max_halo=0` leaves the rule out.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dsfactory.core.png import decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import EVIDENCE, IMAGE
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import RefinedMask, refine_mask
from scripts.montage import COLOURS

ARMS = {"without": RefineConfig(max_halo=0.0), "with": RefineConfig()}
SIDE = 128
PER_SHEET = 30

Mask = tuple[int, str]
"""The number of a sample and a class."""


def masks_of(run: Run) -> Iterator[tuple[int, tuple[str, ...], NDArray[np.uint8], dict[str, RefinedMask]]]:
    """Each image's number, the classes asked for, its pixels, and its mask of each arm."""
    ids = {item.name: number for number, item in enumerate(run.manifest.classes, start=1)}
    for spec in run.finished("generate"):
        for record in run.reader("generate", spec).records():
            if record.row["status"] == "ok":
                image, evidence = decode_rgb_png(record.files[IMAGE]), Evidence.from_bytes(record.files[EVIDENCE])
                names = tuple(record.row["classes"])
                own = [ids[name] for name in names]
                arms = {}
                for arm, config in ARMS.items() if len(own) > 1 else [("with", ARMS["with"])]:
                    arms[arm] = refine_mask(image, evidence.cross, evidence.affinity, own, config)
                yield record.row["number"], names, image, {"without": arms["with"], **arms}  # one class has no rivals


def figures_of(kept: dict[str, set[Mask]], seen: dict[str, set[Mask]]) -> dict[str, Any]:
    """Counts and shares of each arm."""
    wrong = seen["halo"] | seen["other"]
    found: dict[str, Any] = {}
    for arm, masks in kept.items():
        halos, others = len(masks & seen["halo"]), len(masks & seen["other"])
        found[arm] = {"masks": len(masks), "halos": halos, "halo_share": halos / len(masks), "other": others}
    true = {arm: masks - wrong for arm, masks in kept.items()}
    lost, won = true["without"] - true["with"], true["with"] - true["without"]
    return {**found, "true_lost": len(lost), "true_lost_share": len(lost) / len(true["without"]), "true_won": len(won)}


def draw_sample(number: int, names: tuple[str, ...], image: NDArray[np.uint8], arms: dict[str, RefinedMask],
                ids: dict[str, int]) -> Image.Image:  # fmt: skip
    """The image, and its labels in each arm."""
    tile = Image.new("RGB", ((1 + len(arms)) * (SIDE + 4), SIDE + 30), "white")
    draw = ImageDraw.Draw(tile)
    tile.paste(Image.fromarray(image).resize((SIDE, SIDE)), (0, 28))
    draw.text((0, 0), f"#{number}", fill="black")
    for place, name in enumerate(names):
        draw.text((40 + 90 * place, 0), name, fill=COLOURS[ids[name] - 1])
    for column, (arm, mask) in enumerate(arms.items(), start=1):
        shown = image.astype(np.float32)
        for name in names:
            own = mask.labels == ids[name]
            edge = own & (cv2.erode(own.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
            shown[own] = 0.5 * shown[own] + 0.5 * np.array(COLOURS[ids[name] - 1])
            shown[edge] = COLOURS[ids[name] - 1]
        tile.paste(Image.fromarray(shown.astype(np.uint8)).resize((SIDE, SIDE)), (column * (SIDE + 4), 28))
        draw.text((column * (SIDE + 4), 14), f"{arm}: {' '.join('-' if why else 'x' for why in mask.missing)}",
                  fill="black")  # fmt: skip
    return tile


def write_sheets(tiles: list[Image.Image], folder: Path) -> None:
    """The tiles, three in a row."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(tiles), PER_SHEET):
        part = tiles[start : start + PER_SHEET]
        width, height = tiles[0].width + 16, tiles[0].height + 4
        sheet = Image.new("RGB", (3 * width, -(-len(part) // 3) * height), "white")
        for place, tile in enumerate(part):
            sheet.paste(tile, (place % 3 * width, place // 3 * height))
        sheet.save(folder / f"{start // PER_SHEET:02d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sheets", type=Path, help="folder for sheets of all images of several classes")
    parser.add_argument("--seen", type=Path, help="what a person saw on the sheets")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    run = Run.open(args.run)
    ids = {item.name: number for number, item in enumerate(run.manifest.classes, start=1)}
    kept: dict[str, set[Mask]] = {arm: set() for arm in ARMS}
    tiles = []
    images = 0
    for number, names, image, arms in masks_of(run):
        images += 1
        for arm, mask in arms.items():
            kept[arm] |= {(number, name) for name, why in zip(names, mask.missing, strict=True) if not why}
        if args.sheets and len(names) > 1:
            tiles.append(draw_sample(number, names, image, arms, ids))
    gone, new = kept["without"] - kept["with"], kept["with"] - kept["without"]
    print(f"{images} images; gone with the rule: {sorted(gone)}; new with it: {sorted(new)}")
    if args.sheets:
        write_sheets(tiles, args.sheets)
    if args.seen:
        seed = str(run.manifest.seed)
        pairs_of = json.loads(args.seen.read_text())[seed]
        seen = {kind: {(number, name) for number, name in pairs} for kind, pairs in pairs_of.items()}
        figures = {"images": images, **figures_of(kept, seen)}
        print(json.dumps(figures, indent=1))
        if args.out:
            others = json.loads(args.out.read_text()) if args.out.is_file() else {}
            args.out.write_text(json.dumps({**others, seed: figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
