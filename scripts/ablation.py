"""What each step of the labels is worth: masks against truth, and a segmenter trained on them and tested on other art.

    python -m scripts.ablation --packages build/stickers/node_modules/@iconify-json --work build/ablation \\
        --num 250 --steps 2000 --repeats 3 --out docs/figures/ablation.json

One run is drawn once. Its evidence becomes labels in several ways: by the fixed thresholds of other projects, by the
adaptive threshold, then with the CRF (together the refine stage), then without what `dsfactory filter` drops, then with
the mosaics of `dsfactory splice`. On each a segmenter is trained from scratch, for the same number of steps, and tested
on rendered scenes of a style that the model never saw; trained on scenes of that style with their exact masks, it shows
what there is to reach.

Two rows between tell what limits the rest: scenes of the styles that the model learnt, once with masks as the model and
refine make them, once with their exact masks. Between these two lies what masks cost; between our drawings and the
first, what the pictures cost; between the second and the tested style, what the styles cost.

Mask IoU is measured where truth is known: on rendered scenes that the model labels as `dsfactory annotate` does
(`scripts.annotate_measure` says how each rule cuts).

Given again after a kill, it goes on: what is drawn, labelled and trained stays in the work folder.
"""

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.atomic import atomic_file, write_atomic
from dsfactory.core.config import ClassSpec
from dsfactory.core.errors import DsfactoryError
from dsfactory.core.png import decode_rgb_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.seeds import derive_seed
from dsfactory.engine.filtering import filter_job
from dsfactory.engine.pipeline import finished_shards, generate_job, refine_job
from dsfactory.engine.progress import Plain, Progress
from dsfactory.engine.splicing import splice_job, spliced_samples_of
from dsfactory.evaluate.classes import match_classes
from dsfactory.evaluate.config import EvaluateConfig
from dsfactory.evaluate.results import Results
from dsfactory.evaluate.sources import LabelledShard, TrainingSet, stored_images
from dsfactory.evaluate.training import Training
from dsfactory.evaluate.voc import VocFolder
from dsfactory.generate.evidence import Evidence
from dsfactory.generate.stage import EVIDENCE, IMAGE
from dsfactory.models.loading import choose_device
from dsfactory.models.locate import locate_model
from dsfactory.refine.config import RefineConfig
from dsfactory.refine.mask import refine_mask
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.metrics import Confusion
from dsfactory.splice.layout import STAGE as SPLICED
from scripts.annotate_measure import Overlap, build_annotator, in_list, labels_by_rule
from scripts.pocket.art import load_art
from scripts.pocket.captions import class_specs
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.stickers import CLASS_ICONS, TEST_STYLES, Sticker, drawn_classes, load_stickers, stickers_digest
from scripts.sticker_world import render_world

Labels = NDArray[np.uint8]

ADAPTIVE, CRF = "adaptive threshold", "adaptive threshold + CRF (refine)"
FILTERED, WITH_SPLICE = "refine + filter", "refine + filter + splice"
SCENES, SCENES_EXACT = (
    "rendered scenes of the learnt styles, refine",
    "rendered scenes of the learnt styles, exact masks",
)
REAL = "rendered scenes of the tested style, exact masks"
RULES = ("raw ≥ 0.4", "raw ≥ 0.5", "raw ≥ 0.6, void from 0.5", "raw, Otsu", "Dataset Diffusion", ADAPTIVE)
"""Rows whose labels this script cuts itself."""

WITHOUT_CRF = RefineConfig(crf_iterations=0)


@dataclass(frozen=True)
class Settings:
    """What is measured, and how large; `styles` are those of the test."""

    packages: Path
    styles: tuple[str, ...]
    classes: tuple[str, ...]
    model: str
    num: int
    splice: int
    scenes: int
    real: int
    steps: int
    filter_steps: int | None
    repeats: int
    device: str
    work: Path


def learnt_stickers(settings: Settings) -> list[Sticker]:
    """The art that the bundled model learnt from."""
    return [sticker for sticker in load_art(settings.packages) if sticker.class_name in settings.classes]


def tested_stickers(settings: Settings) -> list[Sticker]:
    """The stickers of the tested styles."""
    return load_stickers(settings.packages, settings.styles, {name: CLASS_ICONS[name] for name in settings.classes})


class Relabelled:
    """Pictures with labels made here: pairs of PNG bytes and uint8 [H, W]."""

    def __init__(self, pairs: Sequence[tuple[bytes, Labels]]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], Labels]:
        image, labels = self._pairs[index]
        return decode_rgb_png(image), labels


def cut_labels(image: NDArray[np.uint8], evidence: Evidence) -> dict[str, Labels]:
    """Labels by each of `RULES` and by `CRF`; ids count the evidence's classes from 1."""
    count = len(next(iter(evidence.cross.values())))
    labels = labels_by_rule(image, evidence, RefineConfig())
    labels[CRF] = labels.pop("refine")
    labels[ADAPTIVE] = refine_mask(image, evidence.cross, evidence.affinity, range(1, count + 1), WITHOUT_CRF).labels
    return labels


def measure_masks(settings: Settings) -> dict[str, dict[str, Any]]:
    """Per rule, IoU against the exact masks of rendered scenes; kept in the work folder."""
    model = locate_model(settings.model).identity()
    asked = [
        model,
        settings.styles,
        settings.classes,
        settings.scenes,
        WITHOUT_CRF.identity(),
        RefineConfig().identity(),
    ]
    mark = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    path = settings.work / f"masks-{mark}.json"
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    annotator = build_annotator(settings.model, settings.device)
    overlaps: dict[str, Overlap] = {}
    for number, scene in enumerate(rendered_scenes(tested_stickers(settings), settings.scenes, 105)):
        noisy = annotator.noisy(scene.image, derive_seed(6, number))
        evidence = annotator.evidence(noisy, class_specs(scene.classes))
        truth = in_list(scene.labels, scene.classes, settings.classes)
        for rule, labels in cut_labels(scene.image, evidence).items():
            overlap = overlaps.setdefault(rule, Overlap(settings.classes))
            overlap.add(in_list(labels, scene.classes, settings.classes), truth)
    figures = {rule: overlap.figures() for rule, overlap in overlaps.items()}
    write_atomic(path, json.dumps(figures, ensure_ascii=False).encode())
    return figures


def make_run(settings: Settings, progress: Progress) -> Path:
    """Draw, refine, filter and splice; nothing is done twice."""
    out = settings.work / "run"
    flags = {
        "classes": [{"name": name} for name in settings.classes],
        "num": settings.num,
        "generate": {"model": settings.model, "device": settings.device},
    }
    generate_job(out, None, flags, progress)
    refine_job(out, None, {}, progress)
    steps = {} if settings.filter_steps is None else {"segment": {"steps": settings.filter_steps}}
    filter_job(out, None, {"filter": {"device": settings.device, **steps}}, progress)
    splice_job(out, None, {"splice": {"num": settings.splice}}, progress)
    return out


def relabelled_sets(run: Run, classes: Sequence[str]) -> dict[str, TrainingSet]:
    """The run's drawn pictures with labels by each of `RULES`."""
    pairs: dict[str, list[tuple[bytes, Labels]]] = {rule: [] for rule in RULES}
    digests = {rule: hashlib.sha256(rule.encode()) for rule in RULES}
    for spec in finished_shards(run, "generate"):
        for record in run.reader("generate", spec).records():
            if record.row["status"] != "ok":
                continue
            image, evidence = record.files[IMAGE], Evidence.from_bytes(record.files[EVIDENCE])
            found = cut_labels(decode_rgb_png(image), evidence)
            for rule in RULES:
                labels = in_list(found[rule], record.row["classes"], classes)
                pairs[rule].append((image, labels))
                digests[rule].update(hashlib.sha256(image).digest() + labels.tobytes())
    return {rule: TrainingSet(Relabelled(pairs[rule]), digests[rule].hexdigest()) for rule in RULES}


def stage_set(run: Run, stage: str, splice: bool) -> TrainingSet:
    """What a stage of the run has labelled and kept, with or without the mosaics."""
    shards = [LabelledShard(run, spec, "generate", stage) for spec in finished_shards(run, stage)]
    spliced = spliced_samples_of(run.path, 0.0) if splice else None
    if spliced is not None:
        shards += [LabelledShard(spliced.space, spec, SPLICED, SPLICED) for spec in spliced.specs]
    return stored_images(shards)


def scene_set(settings: Settings, stickers: list[Sticker], split: str) -> TrainingSet:
    """Rendered scenes of the stickers, `train` or `val`; rendered on the first call."""
    asked = [stickers_digest(stickers), settings.classes, settings.real]
    mark = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]
    out = settings.work / f"scenes-{mark}"
    if not (out / "labelmap.txt").exists():  # the last file that is written
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        render_world(stickers, settings.classes, settings.real, 7, 128, out)
    folder = VocFolder.open(out)
    specs = tuple(ClassSpec(name=name) for name in settings.classes)
    images = folder.images(split, match_classes(specs, folder.names, str(out)))
    return TrainingSet(images, images.summary(lambda: None).digest)


def annotated_set(settings: Settings, scenes: TrainingSet, progress: Progress) -> TrainingSet:
    """The same pictures with the labels that the model and refine give them, told which classes they show."""
    config = RefineConfig()
    mark = hashlib.sha256(
        json.dumps([scenes.digest, locate_model(settings.model).identity(), config.identity()], sort_keys=True).encode()
    ).hexdigest()[:16]
    path = settings.work / f"annotated-{mark}.npz"
    scenes_read = [scenes.images[number] for number in range(len(scenes.images))]
    if not path.exists():
        annotator = build_annotator(settings.model, settings.device)
        report = _reporter(progress, "annotate")
        made: list[Labels] = []
        for number, (image, truth) in enumerate(scenes_read):
            report(number, len(scenes_read))
            shown = [settings.classes[index - 1] for index in np.unique(truth) if index]
            evidence = annotator.evidence(annotator.noisy(image, derive_seed(8, number)), class_specs(tuple(shown)))
            refined = refine_mask(image, evidence.cross, evidence.affinity, range(1, len(shown) + 1), config)
            made.append(in_list(refined.labels, shown, settings.classes))
        with atomic_file(path) as file:
            np.savez_compressed(file, labels=np.stack(made))
    with np.load(path) as stored:
        labels = stored["labels"]
    pairs = [(encode_rgb_png(image), mask) for (image, _), mask in zip(scenes_read, labels, strict=True)]
    return TrainingSet(Relabelled(pairs), hashlib.sha256(f"annotated {mark}".encode()).hexdigest())


def train_rows(settings: Settings, sets: dict[str, TrainingSet], progress: Progress) -> dict[str, list[Confusion]]:
    """Per row, the test's confusion matrix of each repetition. Every row's first repetition comes before any second."""
    config = EvaluateConfig(segment=SegmentConfig(steps=settings.steps), repeats=settings.repeats)
    test = scene_set(settings, tested_stickers(settings), "val")
    folder = settings.work / "trainings"
    folder.mkdir(exist_ok=True)
    found: dict[str, list[Confusion]] = {row: [] for row in sets}
    device = choose_device(settings.device)
    for repeat in range(settings.repeats):
        for place, (row, data) in enumerate(sets.items()):
            training = Training(f"row{place}", repeat, data, test, len(settings.classes) + 1, config, device, folder)
            found[row].append(training.run(_reporter(progress, f"{row} {repeat + 1}/{settings.repeats}"))[0])
    return found


def _reporter(progress: Progress, name: str) -> Callable[[int, int], None]:
    begun: list[bool] = []

    def report(done: int, total: int) -> None:
        if begun:
            progress.advance()
        else:
            begun.append(True)
            progress.begin(name, total, done)

    return report


def ablation(settings: Settings, progress: Progress) -> dict[str, Any]:
    """All figures: per row `images`, `mask_iou` and `void` where truth is known, `miou` and its `spread`."""
    settings.work.mkdir(parents=True, exist_ok=True)
    masks = measure_masks(settings)
    run = Run.open(make_run(settings, progress))
    with run.lock():
        sets = relabelled_sets(run, settings.classes)
        sets[CRF] = stage_set(run, "refine", splice=False)
        sets[FILTERED] = stage_set(run, "filter", splice=False)
        sets[WITH_SPLICE] = stage_set(run, "filter", splice=True)
        scenes = scene_set(settings, learnt_stickers(settings), "train")
        sets[SCENES], sets[SCENES_EXACT] = annotated_set(settings, scenes, progress), scenes
        sets[REAL] = scene_set(settings, tested_stickers(settings), "train")
        confusions = train_rows(settings, sets, progress)
    names = ("background", *settings.classes)
    results = Results(names, confusions, {}, {})
    rows = []
    for row, data in sets.items():
        mious = results.mious(row)
        rows.append(
            {
                "labels": row,
                "images": len(data.images),
                "mask_iou": masks[row]["miou"] if row in masks else None,
                "void": masks[row]["void"] if row in masks else None,
                "miou": statistics.fmean(mious),
                "spread": statistics.stdev(mious) if len(mious) > 1 else None,
                "per_class": results.class_ious(row),
            }
        )
    return {
        "model": locate_model(settings.model).name,
        "test_styles": list(settings.styles),
        "classes": list(settings.classes),
        "images_per_class": settings.num,
        "scenes": settings.scenes,
        "steps": settings.steps,
        "repeats": settings.repeats,
        "rows": rows,
    }


def to_markdown(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    real = figures["rows"][-1]["miou"]
    lines = [
        "| labels | images | mask IoU | void | trained on it: mIoU | ÷ exact masks |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in figures["rows"]:
        masks = "–" if row["mask_iou"] is None else f"{row['mask_iou']:.3f}"
        void = "–" if row["void"] is None else f"{row['void']:.3f}"
        spread = "" if row["spread"] is None else f" ± {row['spread']:.3f}"
        ratio = row["miou"] / real if real else float("nan")
        lines.append(
            f"| {row['labels']} | {row['images']} | {masks} | {void} | {row['miou']:.3f}{spread} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder with one sub-folder per sticker package")
    parser.add_argument("--styles", default=",".join(TEST_STYLES), help="of the test, separated by commas")
    parser.add_argument("--classes", default=None, help="separated by commas [default: all that are there]")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--num", type=int, default=250, help="drawn images per class")
    parser.add_argument("--splice", type=int, default=500, help="mosaics")
    parser.add_argument("--scenes", type=int, default=200, help="rendered scenes for the mask IoU")
    parser.add_argument(
        "--real", type=int, default=1000, help="rendered scenes of each kind: 4/5 to train on, 1/5 to test on"
    )
    parser.add_argument("--steps", type=int, default=2000, help="of each training")
    parser.add_argument("--filter-steps", type=int, default=None, help="of each fold of the filter [default: its own]")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is made on the way")
    parser.add_argument("--out", type=Path, default=None, help="write the figures there as JSON")
    args = vars(parser.parse_args(argv))
    out = args.pop("out")
    for name in ("styles", "classes"):
        args[name] = tuple(part.strip() for part in (args[name] or "").split(",") if part.strip())
    unknown = [name for name in args["classes"] if name not in CLASS_ICONS]
    if unknown:
        parser.error(f"no stickers for {', '.join(unknown)}; there are {', '.join(CLASS_ICONS)}")
    try:
        args["classes"] = args["classes"] or drawn_classes(args["packages"], args["styles"])
        with Plain() as progress:
            figures = ablation(Settings(**args), progress)
    except (DsfactoryError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(to_markdown(figures))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
