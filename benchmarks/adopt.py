"""Memory and time of finding a large COCO set: ``python -m benchmarks.adopt --images 100000``.

The pictures are links to one file, so that only what ``adopt`` itself does is measured: reading the annotations,
finding the pictures, and numbering them. The shards that follow hold one image in memory at a time.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from dsfactory.stages.adopt.config import AdoptConfig
from dsfactory.stages.adopt.stage import AdoptStage


def make_set(folder: Path, images: int, objects: int, corners: int) -> None:
    """A COCO set with polygons of noise."""
    (folder / "images").mkdir(parents=True)
    first = folder / "images" / "0.png"
    Image.new("RGB", (64, 48)).save(first)
    for number in range(1, images):
        os.link(first, folder / "images" / f"{number}.png")
    rng = np.random.default_rng(0)
    with (folder / "all.json").open("w") as file:
        listed = [{"id": number, "file_name": f"{number}.png", "width": 64, "height": 48} for number in range(images)]
        file.write(f'{{"categories": [{{"id": 1, "name": "car"}}], "images": {json.dumps(listed)}, "annotations": [')
        for number in range(images * objects):
            ring = rng.uniform(1, 47, 2 * corners).round(2).tolist()
            entry = {"id": number, "image_id": number // objects, "category_id": 1, "segmentation": [ring]}
            file.write(("," if number else "") + json.dumps(entry))
        file.write("]}")


def measure(folder: Path) -> dict[str, float]:
    """Find the images of a set, as ``adopt`` does before its first shard."""
    before, start = _peak(), time.monotonic()
    stage = AdoptStage(AdoptConfig(sources=(str(folder),)), (), folder / "run")
    count = stage.wanted(None)[""]
    seconds = round(time.monotonic() - start, 1)
    megabytes = round((folder / "all.json").stat().st_size / 1e6)
    return {"images": count, "annotations_mb": megabytes, "seconds": seconds, "more_mb": round(_peak() - before)}


def _peak() -> float:
    """Largest memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=7)
    parser.add_argument("--corners", type=int, default=30)
    parser.add_argument("--measure", type=Path, help="a set that is there, in a process of its own")
    given = parser.parse_args()
    if given.measure is not None:
        print(json.dumps(measure(given.measure)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "set"
        make_set(folder, given.images, given.objects, given.corners)
        subprocess.run([sys.executable, "-m", "benchmarks.adopt", "--measure", str(folder)], check=True)


if __name__ == "__main__":
    main()
