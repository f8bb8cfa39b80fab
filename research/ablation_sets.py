"""What the ablation trains on: one run labelled in several ways, and rendered scenes.

What was drawn, rendered or labelled stays in the work folder and is not made again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_rgb_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import EVIDENCE, IMAGE
from dsfactory.core.seeds import derive_seed
from dsfactory.dataset.labels import finished_shards
from dsfactory.evaluate.classes import match_classes
from dsfactory.evaluate.sources import LabelledShard, TrainingSet, stored_images
from dsfactory.formats.voc.folder import VocFolder
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.samples import samples_of
from dsfactory.models.locate import locate_model
from dsfactory.runner.progress import Progress
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from dsfactory.storage.atomic import atomic_file, write_atomic
from research.annotate_measure import Overlap, build_annotator, in_list, labels_by_rule
from scripts.pocket.art import load_art
from scripts.pocket.captions import class_specs
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.stickers import CLASS_ICONS, Sticker, load_stickers, stickers_digest
from scripts.sticker_world import render_world

Labels = NDArray[np.uint8]

ADAPTIVE, CRF = "adaptive threshold", "adaptive threshold + CRF (refine)"
FILTERED, WITH_MOSAICS = "refine + filter", "refine + filter + mosaics"
WITH_PASTES = "refine + filter + mosaics + pastes"
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
    guidance: float | None
    objects: str
    splice: int
    paste: int
    scenes: int
    real: int
    segmenter: str | None
    steps: int
    side: int
    batch_size: int
    rules: bool
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
    flags: dict[str, Any] = {
        "classes": [{"name": name} for name in settings.classes],
        "num": settings.num,
        "prompts": {"objects": settings.objects},
        "generate": {"model": settings.model, "device": settings.device, "guidance": settings.guidance},
    }
    judge = {"checkpoint": settings.segmenter, "steps": settings.filter_steps}
    segment = {name: value for name, value in judge.items() if value is not None}
    flags["filter"] = {"device": settings.device, "segment": segment}
    flags["splice"] = {"num": settings.splice, "paste": settings.paste}
    run_job(Request(("prompts", "generate", "refine", "filter", "splice"), out, flags=flags), progress)
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


def stage_set(run: Run, stage: str, cells: Sequence[str] = ()) -> TrainingSet:
    """What a stage of the run has labelled and kept, with the splices of some cells of their space."""
    shards = [LabelledShard(run, spec, "generate", stage) for spec in finished_shards(run, stage)]
    for made in samples_of(run.path, 0.0).composed if cells else ():
        folder, layout = made.space.kind.folder, made.space.layout.shards
        shards += [
            LabelledShard(made.space, spec, folder, folder) for spec in made.specs if layout[spec.index][2] in cells
        ]
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
        report = reporter(progress, "annotate")
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


def reporter(progress: Progress, name: str) -> Callable[[int, int], None]:
    begun: list[bool] = []

    def report(done: int, total: int) -> None:
        if begun:
            progress.advance()
        else:
            begun.append(True)
            progress.begin(name, total, done)

    return report
