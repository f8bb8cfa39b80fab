"""Which tools open an export, tried with the tools themselves: ``python -m scripts.consumers``.

Exports labelled pictures in every format, opens each export with each of its readers, and compares images, classes
and pixels. Tools that are not installed are left out with a line that says so; ``make consumers`` installs them all in
an environment of their own.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png, encode_rgb_png
from dsfactory.core.sample import VOID, sample_key
from dsfactory.dataset.sample import ExportSample, Labels, read_labels
from dsfactory.formats import FORMATS
from dsfactory.formats.exporter import export
from scripts.consumer_readers import CONSUMERS, Consumer, Mask, Seen

CLASSES = ("dog", "traffic light", "crème brûlée")
COUNT = 24
MIN_IOU = 0.99
JPEG_LEVELS = 8.0
"""Mean difference in levels of 255 between an image and its JPEG. The pictures are smooth; noise would lose more."""

MARKS = ("<!-- consumers: begin -->", "<!-- consumers: end -->")


@dataclass
class Verdict:
    """What came of one tool with one format.

    Attributes:
        tool, format: who read what.
        version: of the tool; ``"rules"`` where only its published rules were followed.
        images, objects: how many it saw.
        iou: the worst of all objects, or of all classes in all images; None where it reads boxes only.
        within_pixel: whether each object's border was at most a pixel off.
        void: whether it told void from background, where the format has void.
        trouble: what differs; empty when it agrees.
        skipped: why it was not tried; empty when it was.
    """

    tool: str
    format: str
    version: str
    images: int = 0
    objects: int = 0
    iou: float | None = None
    within_pixel: bool = True
    void: bool = False
    trouble: str = ""
    skipped: str = ""


def drawn_samples(count: int) -> Iterator[ExportSample]:
    """Labelled pictures with what is hard to carry: holes, parts that touch at a corner, one inside another, void."""
    for number in range(count):
        random = np.random.default_rng(number)
        height, width = 96 + 8 * (number % 3), 128 - 8 * (number % 5)
        mask, instances = np.zeros((2, height, width), dtype=np.uint8)
        y, x = np.mgrid[:height, :width]
        away = np.hypot(y - 34 - number % 7, x - 36 - number % 11)
        shapes: list[Mask] = [
            (away < 26) & (away > 11),  # a hole, with another object in it
            away < 7,
            (abs(y - 70) + abs(x - 80 - number % 5) < 16) & ((y < 66) | (y > 68)),  # in two parts, a gap of three
            ((y - 20) // 9 == (x - 84) // 9) & (y >= 20) & (y < 47),  # squares that touch at their corners
            (y >= height - 5) & (x < 20 + number),  # along the border
        ]
        for instance, pixels in enumerate(shapes, start=1):
            free = pixels & (instances == 0)
            instances[free], mask[free] = instance, 1 + (instance + number) % len(CLASSES)
        ring = cv2.dilate((instances == 1).astype(np.uint8), np.ones((3, 3))).astype(bool) & (instances == 0)
        mask[ring], instances[ring] = VOID, VOID
        colours = cv2.resize(random.integers(0, 256, (6, 8, 3)).astype(np.uint8), (width, height))
        row = {"number": number, "prompt": f"picture {number}", "model": "drawn", "image_seed": number}
        files = (encode_rgb_png(colours), encode_index_png(mask), encode_index_png(instances))
        yield ExportSample(sample_key(number), row, *files)


@dataclass
class Truth:
    """The labels that a tool is to see, decoded."""

    classes: tuple[str, ...]
    images: dict[str, NDArray[np.uint8]]
    labels: dict[str, Labels]

    def objects(self, key: str) -> list[tuple[str, Mask, tuple[int, ...]]]:
        return [(self.classes[item.category - 1], item.pixels, item.box) for item in self.labels[key].objects()]


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def judge(consumer: Consumer, seen: Seen, truth: Truth, verdict: Verdict) -> Iterator[str]:
    """What differs between what a tool saw and what is there; fills in the verdict's figures."""
    verdict.images = len(seen.images)
    if seen.images.keys() != truth.images.keys():
        yield f"{len(seen.images)} images instead of {len(truth.images)}"
        return
    if seen.classes is not None and seen.classes != list(truth.classes):
        yield f"the classes {seen.classes}"
    ious = []
    for key, image in truth.images.items():
        if seen.images[key].shape != image.shape:
            yield f"image {key} has the size {seen.images[key].shape}"
        elif np.abs(seen.images[key].astype(float) - image).mean() > JPEG_LEVELS:
            yield f"image {key} has other pixels"
        expected = truth.objects(key)
        if key in seen.masks:
            mask = truth.labels[key].mask
            verdict.void = verdict.void or bool(np.any(seen.masks[key] == VOID))
            ious += [overlap(seen.masks[key] == value, mask == value) for value in np.unique(mask)]
        if key in seen.objects:
            verdict.objects += len(seen.objects[key])
            if sorted(name for name, _ in seen.objects[key]) != sorted(name for name, _, _ in expected):
                yield f"image {key} has other objects"
                continue
            for name, pixels, _ in expected:
                alike = [found for label, found in seen.objects[key] if label == name]
                best = max(alike, key=lambda found: overlap(pixels, found))
                ious.append(overlap(pixels, best))
                near = np.ones((3, 3), dtype=np.uint8)
                around = cv2.dilate(pixels.astype(np.uint8), near).astype(bool)
                inside = cv2.erode(pixels.astype(np.uint8), near).astype(bool)
                if np.any(best & ~around) or np.any(inside & ~best):
                    verdict.within_pixel = False
        if key in seen.boxes:
            verdict.objects += len(seen.boxes[key])
            if sorted(seen.boxes[key]) != sorted((name, box) for name, _, box in expected):
                yield f"image {key} has other boxes"
    if ious:
        verdict.iou = round(min(ious), 4)
        good = {"exact": verdict.iou == 1, "iou": verdict.iou >= MIN_IOU, "pixel": verdict.within_pixel}
        if not good[consumer.agrees]:
            yield f"IoU {verdict.iou:.3f}"


def try_consumer(consumer: Consumer, root: Path, truth: Truth) -> Verdict:
    """Let a tool read an export and compare."""
    try:
        found = version(consumer.package) if consumer.package else "rules"
    except PackageNotFoundError:
        return Verdict(consumer.tool, consumer.format, "", skipped=f"{consumer.package} is not installed")
    verdict = Verdict(consumer.tool, consumer.format, found)
    try:
        verdict.trouble = "; ".join(list(judge(consumer, consumer.read(root), truth, verdict))[:3])
    except Exception as error:  # a tool may fail in any way: that is a finding, not an end
        verdict.trouble = f"{type(error).__name__}: {error}"[:200]
    return verdict


def try_all(samples: list[ExportSample], classes: tuple[str, ...], work: Path) -> list[Verdict]:
    """Export the samples in every format and let every tool read its formats."""
    truth = Truth(classes, {}, {})
    for sample in samples:
        truth.images[sample.key] = decode_rgb_png(sample.image_png)
        truth.labels[sample.key] = read_labels(sample, len(classes))
        assert np.array_equal(truth.labels[sample.key].mask, decode_index_png(sample.mask_png))
    for format in FORMATS:
        export(format, iter(samples), classes, work / format, fingerprint="consumers", model="drawn", val_share=0.3)
    return [try_consumer(consumer, work / consumer.format, truth) for consumer in CONSUMERS]


def as_table(verdicts: list[Verdict]) -> str:
    """The verdicts as a Markdown table."""
    lines = ["| tool | format | version tried | images | objects | worst IoU | ignore | |", "| --- " * 8 + "|"]
    for item in verdicts:
        iou = "boxes" if item.iou is None else "exact" if item.iou == 1 else f"{item.iou:.3f}"
        figures = [str(item.images), str(item.objects or "–"), iou, "yes" if item.void else "–"]
        if item.skipped:
            figures = ["–"] * 4
        result = "agrees" if item.iou is None or item.iou >= MIN_IOU else "agrees within a pixel: it rounds corners"
        if item.skipped or item.trouble:
            result = f"not tried: {item.skipped}" if item.skipped else f"differs: {item.trouble}"
        lines.append(f"| {' | '.join([item.tool, f'`{item.format}`', item.version or '–', *figures, result])} |")
    return "\n".join(lines)


def run_samples(path: Path) -> tuple[list[ExportSample], tuple[str, ...]]:
    """The kept samples of a run."""
    from dsfactory.jobs.export import kept_samples_of

    source = kept_samples_of(path)
    return list(source.samples()), tuple(item.name for item in source.run.manifest.classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="take the samples of this run instead of drawn pictures")
    parser.add_argument("--json", type=Path, help="write the verdicts there")
    parser.add_argument("--table", type=Path, help="replace the table between the marks of this Markdown file")
    arguments = parser.parse_args()
    samples, classes = run_samples(arguments.run) if arguments.run else (list(drawn_samples(COUNT)), CLASSES)
    with tempfile.TemporaryDirectory() as work:
        verdicts = try_all(samples, classes, Path(work))
    table = as_table(verdicts)
    print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(item) for item in verdicts], indent=1) + "\n", encoding="utf-8")
    if arguments.table:
        text = arguments.table.read_text(encoding="utf-8")
        before, rest = text.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        arguments.table.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")
    sys.exit(1 if any(item.trouble for item in verdicts) else 0)


if __name__ == "__main__":
    main()
