"""The affinity network of a run: from its first generated samples to a file in its refine folder."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from safetensors import SafetensorError

from dsfactory.core.chain import Input
from dsfactory.core.png import decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import EVIDENCE, IMAGE, Record
from dsfactory.core.stage import Reporter
from dsfactory.errors import DamagedShard, UserError
from dsfactory.stages.refine.affinity import confident_seeds
from dsfactory.stages.refine.affinity_file import FILE, NOTE, TRAINING
from dsfactory.stages.refine.affinity_net import AffinityNet, net_image
from dsfactory.stages.refine.affinity_train import Example, net_bytes, net_from_bytes, train_affinity
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.contest import scaled_kernels
from dsfactory.stages.refine.mask import fused_maps
from dsfactory.stages.refine.stage import RefineStage, read_evidence
from dsfactory.storage.atomic import write_atomic

_VERSION = 3
"""Raised whenever equal images would give another network."""

_WITHOUT_EFFECT = {
    "threshold",
    "walk_beta",
    "walk_steps",
    "crf_min_iou",
    "certainty",
    "min_contrast",
    "snap",
    "device",
    "min_claim",
    "max_halo",
    "require",
    "min_box",
    "max_hole",
    "instances",
}
"""Settings of refine that come after the network."""


def training_mark(config: RefineConfig, images: str, seed: int) -> str:
    """Hash of everything that decides a network's weights, 32 hex digits.

    The size of the run is none of it: a run that grows goes on with the network that it has.
    """
    settings = {name: value for name, value in config.identity().items() if name not in _WITHOUT_EFFECT}
    content = {"version": _VERSION, "settings": settings, "generate": images, "seed": seed}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def has_net(run: Run, config: RefineConfig, inputs: Sequence[Input]) -> bool:
    """Whether a run holds the network that these settings want of these images."""
    folder = run.stage_folder(RefineStage.folder)
    if not inputs or not (folder / FILE).is_file() or not (folder / NOTE).is_file():
        return False
    try:
        note = json.loads((folder / NOTE).read_bytes())
    except ValueError:
        return False
    return bool(note == {"made_of": training_mark(config, inputs[0].mark, run.manifest.seed)})


def train_net(run: Run, config: RefineConfig, inputs: Sequence[Input], report: Reporter) -> None:
    """Train a run's affinity network and keep it; does nothing when the run has it. The caller holds the lock.

    One network for all classes of the run. It learns from the run's first ``config.affinity_samples`` samples, in which
    classes take turns; those that failed, and shards that are damaged, are left out. A killed training goes on where
    its last checkpoint was, to the same weights.

    Args:
        run: the run; its generate stage has finished the shards of these samples.
        config: settings.
        inputs: the stage that makes its images and attention maps.
        report: told about progress.

    Raises:
        UserError: those samples are not all drawn yet, or nothing can be learnt from them.
    """
    if has_net(run, config, inputs):
        return
    (images,) = inputs
    wanted = min(config.affinity_samples, run.total)
    missing = [
        spec
        for spec in run.shards()
        if spec.start < wanted and not run.may_be_read(images.kind.folder, spec, images.mark)
    ]
    if missing:
        raise UserError(
            f"{run.path}: the affinity network learns from the first {wanted} samples, and {len(missing)} of their "
            "shards are not drawn yet: finish 'dsfactory generate' first, or use --affinity self"
        )
    folder = run.make_stage_folder(RefineStage.folder)
    examples = list(_examples(run, config, images, wanted))
    if examples:  # a network sees images of one size
        examples = [one for one in examples if one.seeds.shape == examples[0].seeds.shape]
    try:
        net = train_affinity(
            examples, config.affinity_steps, run.manifest.seed, folder / TRAINING, partial(report, "affinity")
        )
    except ValueError as error:
        raise UserError(f"{run.path}: no affinity network can be trained, {error}: use --affinity self") from error
    (folder / NOTE).unlink(missing_ok=True)  # never beside another network
    write_atomic(folder / FILE, net_bytes(net))
    note = {"made_of": training_mark(config, images.mark, run.manifest.seed)}
    write_atomic(folder / NOTE, json.dumps(note).encode())
    (folder / TRAINING).unlink(missing_ok=True)


def load_net(path: Path) -> AffinityNet:
    """A run's trained network.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return net_from_bytes(path.read_bytes())
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{path} is not the run's affinity network: 'dsfactory refine --redo' trains it again"
        ) from error


def _examples(run: Run, config: RefineConfig, images: Input, wanted: int) -> Iterator[Example]:
    for spec in run.shards():
        if spec.start >= wanted:
            return
        try:
            for number, record in enumerate(run.reader(images.kind.folder, spec).records(), start=spec.start):
                if number < wanted and (example := _example(record, config)) is not None:
                    yield example
        except DamagedShard:
            continue  # refine names it


def _example(record: Record, config: RefineConfig) -> Example | None:
    """A sample's image with its seeds; None when it failed or cannot be read, which refine will name."""
    if record.row["status"] != "ok":
        return None
    try:
        image = decode_rgb_png(record.files[IMAGE])
        evidence = read_evidence(record.files[EVIDENCE])
    except (KeyError, ValueError):
        return None
    if not evidence.cross:
        return None
    size = (image.shape[0], image.shape[1])
    fused, _ = fused_maps(evidence.cross, evidence.affinity, size, config)
    scores = (config.threshold_low, config.threshold_high)
    kernels = scaled_kernels(config, size)
    seeds = confident_seeds(image, fused, scores, config.sharpness, kernels, config.crf_iterations)
    return Example(net_image(image), seeds)  # all examples are held at once
