"""Cross-validate a run and score its samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.core.stage import Reporter
from dsfactory.dataset.witness import Witness, agreements
from dsfactory.embed.duplicates import perceptual_hash
from dsfactory.models.devices import choose_device
from dsfactory.segment.data import Image, Labels
from dsfactory.segment.network import Segmenter
from dsfactory.stages.filter.crossval import (
    load_fold,
    predictions,
    remove_checkpoints,
    remove_other_folds,
    train_fold,
    untrained_folds,
    weights_path,
)
from dsfactory.stages.filter.files import REFERENCE, SCORES
from dsfactory.stages.filter.judge import judge, self_confidence
from dsfactory.stages.filter.note import Note, discard_note, matching_note, write_note
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.real import Reference
from dsfactory.stages.filter.samples import Sample
from dsfactory.stages.filter.scores import Score, write_scores
from dsfactory.stages.filter.similarity import ClipJudge
from dsfactory.stages.filter.witnesses import open_witnesses


def judge_samples(plan: Plan, folder: Path, step: Reporter) -> Note:
    """Cross-validate and score; what is there already is not made again.

    Args:
        plan: what to do.
        folder: existing folder for networks and scores.
        step: told about progress.

    Raises:
        UserError: a checkpoint that the configuration names cannot be loaded.
    """
    note = matching_note(plan, folder)
    if note is not None:
        return note
    untrained = untrained_folds(plan, folder)
    trained = {weights_path(folder, fold).name for fold in range(plan.folds) if fold not in untrained}
    discard_note(folder, trained)
    device = choose_device(plan.config.device)
    remove_other_folds(plan, folder)
    for fold in untrained:
        train_fold(plan, folder, fold, device, step)
    remove_checkpoints(folder)
    if plan.real is not None:
        model = load_fold(folder, 0, plan.labels, plan.config.segment, device)
        Reference.measured(model, plan.real, plan.labels, plan.config.segment.side).write(folder / REFERENCE)
    write_scores(folder / SCORES, score_samples(plan, folder, device, step))
    names = [
        SCORES,
        *([REFERENCE] if plan.real else []),
        *(weights_path(folder, fold).name for fold in range(plan.folds)),
    ]
    return write_note(plan, folder, names)


def score_samples(plan: Plan, folder: Path, device: torch.device, step: Reporter) -> list[Score]:
    """Let the network of its fold judge each sample; in the order of the plan."""
    ids = {name: number for number, name in enumerate(plan.classes, start=1)}
    clip = ClipJudge(plan.config.clip, plan.classes, device) if plan.config.clip is not None else None
    witnesses = open_witnesses(plan.config.witness, plan.settings, plan.run, device)
    scores: dict[str, Score] = {}
    step("scores", 0, len(plan.samples))
    for fold in range(plan.folds):
        own = [sample for sample, place in zip(plan.samples, plan.fold_of, strict=True) if place == fold]
        model = load_fold(folder, fold, plan.labels, plan.config.segment, device)
        thresholds = _thresholds(model, own, plan)
        found = predictions(model, own, plan.config.segment.side)
        for sample, (image, mask, probabilities) in zip(own, found, strict=True):
            own_ids = [ids[name] for name in sample.classes]
            verdict = judge(probabilities, mask, own_ids, thresholds)
            likeness = next(clip.probabilities([image])) if clip is not None else None
            scores[sample.key] = Score(
                key=sample.key,
                number=sample.number,
                classes=list(sample.classes),
                area=list(sample.area),
                labelled=float(np.mean((mask != BACKGROUND) & (mask != VOID))),
                fold=fold,
                iou=verdict.iou,
                confident_iou=verdict.confident_iou,
                evidence=verdict.evidence,
                quality=verdict.quality,
                similarity=[] if likeness is None else [float(likeness[number - 1]) for number in own_ids],
                hash=perceptual_hash(image),
                loss=verdict.loss.tolist(),
                pixels=verdict.pixels.tolist(),
                domain=sample.domain,
                **{f"agree_{name}": _heard(witness, sample, image, mask, ids) for name, witness in witnesses.items()},
            )
            step("scores", len(scores), len(plan.samples))
    return [scores[sample.key] for sample in plan.samples]


def _heard(witness: Witness, sample: Sample, image: Image, mask: Labels, ids: Mapping[str, int]) -> list[float | None]:
    """How far a witness agrees with the label of each class that it shows."""
    instances = decode_index_png(sample.instances.read())
    said = witness(image, mask, instances, [ids[name] for name in sample.asked])
    return agreements(mask, instances, said, [ids[name] for name in sample.classes])


def _thresholds(model: Segmenter, samples: Sequence[Sample], plan: Plan) -> NDArray[np.float64]:
    """Mean probability that pixels of each label get from a network; infinite for a label that no pixel carries.

    Of each network by itself, for one may be surer of everything than another.
    """
    total, pixels = np.zeros(plan.labels), np.zeros(plan.labels, dtype=np.int64)
    for _, mask, probabilities in predictions(model, samples, plan.config.segment.side):
        given, count = self_confidence(probabilities, mask)
        total, pixels = total + given, pixels + count
    thresholds: NDArray[np.float64] = np.full(plan.labels, np.inf)
    np.divide(total, pixels, out=thresholds, where=pixels > 0)
    return thresholds
