"""What ``filter --real`` sees that folds cannot: every mask of one class drawn too large by the same margin.

    python -m research.real_judge --packages node_modules/@iconify-json --work DIR [--judges real folds] [--clean]

Rendered scenes of the training styles have exact masks; all of the first class are dilated by 6 of 128 pixels. The real
set is 100 more scenes with exact masks, three quarters to learn from and a quarter for the reference losses. Of the
wrong ring: the share that becomes ignore (recall), and the share of what becomes ignore that is ring (precision).
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dsfactory.core.png import decode_index_png, encode_index_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import MASK, VOID
from dsfactory.formats.voc.layout import LABELMAP, labelmap_text
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.settings import merge_settings, parse_setting
from dsfactory.runner.progress import Silent
from research.planted_noise import CLASSES, render_scenes
from scripts.rendered_run import LabelledScene, write_run

MARGIN = 6


def dilated(scene: LabelledScene, label: int) -> LabelledScene:
    """A scene whose mask of one class reaches :data:`MARGIN` pixels into the background."""
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    grown = cv2.dilate((scene.mask == label).astype(np.uint8), window) > 0
    return replace(scene, mask=np.where(grown & (scene.mask == 0), np.uint8(label), scene.mask))


def write_real(path: Path, classes: Sequence[str], scenes: Sequence[LabelledScene]) -> None:
    """Scenes as a VOC folder: three quarters in ``train``, the rest in ``val``."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (path / name).mkdir(parents=True, exist_ok=True)
    (path / LABELMAP).write_text(labelmap_text(dict(enumerate(["background", *classes]))))
    for number, scene in enumerate(scenes):
        (path / f"JPEGImages/{number:04d}.png").write_bytes(encode_rgb_png(scene.image))
        (path / f"SegmentationClass/{number:04d}.png").write_bytes(encode_index_png(scene.mask))
    names = [f"{number:04d}" for number in range(len(scenes))]
    cut = 3 * len(names) // 4
    for split, part in (("train", names[:cut]), ("val", names[cut:])):
        (path / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(part))


def measure(path: Path, exact: Sequence[LabelledScene], given: Sequence[LabelledScene]) -> dict[str, Any]:
    """Recall and precision of the ring, over the samples that were kept; ignore as a share of what is right."""
    run = Run.open(path)
    ring = voided = both = right = lost = kept = 0
    for spec in run.finished("filter"):
        for record in run.reader("filter", spec).records():
            if record.row["status"] != "ok":
                continue
            number, kept = record.row["number"], kept + 1
            wrong = exact[number].mask != given[number].mask
            now = (decode_index_png(record.files[MASK]) == VOID) & (given[number].mask != VOID)
            ring, voided, both = ring + int(wrong.sum()), voided + int(now.sum()), both + int((wrong & now).sum())
            right, lost = right + int((~wrong).sum()), lost + int((now & ~wrong).sum())
    return {
        "kept": kept, "recall": round(both / ring, 3) if ring else None,
        "precision": round(both / voided, 3) if voided and ring else None, "lost_of_right": round(lost / right, 4),
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--num", type=int, default=240, help="scenes of the run")
    parser.add_argument("--real", type=int, default=100, help="scenes of the real set")
    parser.add_argument("--judges", nargs="+", default=["real", "folds"], choices=["real", "folds"])
    parser.add_argument("--clean", action="store_true", help="masks as they are: what is lost of a clean run")
    parser.add_argument("--set", action="append", default=[], help="a setting of the filter")
    args = parser.parse_args(argv)
    classes = tuple(CLASSES.split(","))
    exact = render_scenes(args.packages, classes, args.num, 0, 128)
    given = exact if args.clean else [dilated(scene, 1) for scene in exact]
    write_real(args.work / "real", classes, render_scenes(args.packages, classes, args.real, 1, 128))
    for judge in args.judges:
        path = args.work / f"{judge}-{'clean' if args.clean else 'dilated'}"
        shutil.rmtree(path, ignore_errors=True)
        write_run(path, classes, given)
        flags = merge_settings(*map(parse_setting, args.set))
        if judge == "real":
            flags = merge_settings(flags, {"filter": {"real": str(args.work / "real")}})
        start = time.process_time()
        run_job(Request(("filter",), path, flags=flags), Silent())
        row = {"judge": judge, "clean": args.clean, "num": args.num, "cpu_seconds": round(time.process_time() - start)}
        print(json.dumps({**row, **measure(path, exact, given)}), flush=True)


if __name__ == "__main__":
    main()
