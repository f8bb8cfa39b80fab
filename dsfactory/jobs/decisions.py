"""Take a person's decisions on samples into a run: ``dsfactory import RUN decisions.json``."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, IMAGE, INSTANCES, MASK, VOID, Record
from dsfactory.dataset.corrections import Corrections, CorrectionsWriter, changing_corrections, digest
from dsfactory.dataset.decisions import KIND, Decision, Decisions
from dsfactory.dataset.labels import finished_shards, images_and_labels
from dsfactory.runner.log import run_log
from dsfactory.runner.signals import check_stop
from dsfactory.stages import STAGES
from dsfactory.storage.disk import disk_errors


@dataclass
class DecisionsSummary:
    """What became of decisions.

    Attributes:
        run: the run's directory.
        decided: how many were taken over, by decision.
        unchanged: how many the run had already.
        refused: reason by key, for samples that cannot be decided on.
        dry_run: whether nothing was written.
    """

    run: Path
    decided: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """3 when something was refused, else 0."""
        return 3 if self.refused else 0

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "run": str(self.run), "decided": dict(self.decided), "exit_code": self.exit_code}

    def in_words(self) -> str:
        parts = [f"{self.decided[name]} {word}" for name, word in (("keep", "kept"), ("reject", "rejected"))]
        parts += [f"{self.unchanged} unchanged"]
        parts += [f"{len(self.refused)} refused"] if self.refused else []
        return ", ".join(parts) + (" (--dry-run: nothing was written)" if self.dry_run else "")


def decisions_job(run_path: Path, found: Decisions, dry_run: bool = False) -> DecisionsSummary:
    """Keep decisions with a run's corrections. A mask that a person corrected is not lost when its sample is rejected.

    Args:
        run_path: the run's directory.
        found: the decisions.
        dry_run: only say what would be done.

    Raises:
        UserError: not a run, or not labelled yet.
        DamagedShard: a shard of the run cannot be read.
        RunLocked: another process changes the run's corrections.
    """
    run = Run.open(run_path)
    images, labels = (item.kind.folder for item in images_and_labels(run, STAGES.begun(run)))
    summary = DecisionsSummary(run_path, dry_run=dry_run)
    if dry_run:
        _decide_all(run, images, labels, found, CorrectionsWriter(Corrections.of(run_path)), summary)
        return summary
    with disk_errors(run_path, "nothing was changed"), run_log(run_path, "import") as ended:
        with changing_corrections(run_path) as writer:
            _decide_all(run, images, labels, found, writer, summary)
        ended |= {"exit_code": summary.exit_code, **summary.decided, "refused": len(summary.refused)}
    return summary


def _decide_all(
    run: Run, images: str, labels: str, found: Decisions, writer: CorrectionsWriter, summary: DecisionsSummary
) -> None:
    """Go through the shards that hold samples that were decided on."""
    left = dict(found.samples)
    for spec in finished_shards(run, labels):
        check_stop()
        if not left.keys() & {run.key(number) for number in range(spec.start, spec.stop)}:
            continue
        pairs = zip(run.reader(images, spec).records(), run.reader(labels, spec).records(), strict=True)
        for image, masks in pairs:
            if IMAGE in image.files and (decision := left.pop(image.key, None)) is not None:
                _decide(image, masks, decision, found.source, writer, summary)
    summary.refused |= {key: "is no sample of the run that has an image and was labelled" for key in sorted(left)}


def _decide(
    image: Record, masks: Record, decision: Decision, source: str, writer: CorrectionsWriter, summary: DecisionsSummary
) -> None:
    key, sha256, choice = image.key, digest(image.files[IMAGE]), decision.decision
    if sha256 != decision.image_sha256:
        summary.refused[key] = "was decided on for another image than the run has now"
        return
    entry = writer.fixes.entries.get(key)
    entry = entry if entry is not None and entry.image_sha256 == sha256 else None
    if entry is not None and (entry.mask_sha256 or choice == "reject"):
        # A corrected mask that is kept is a correction, as before.
        now = "" if choice == "keep" and entry.format != KIND else choice
        if entry.decision == now:
            summary.unchanged += 1
            return
        if not summary.dry_run:
            writer.fixes.entries[key] = replace(entry, decision=now)
    else:
        own = _own(masks)
        if choice == "keep" and own is None:
            summary.refused[key] = "has no mask that could be kept"
            return
        if not summary.dry_run:
            facts = {"image_sha256": sha256, "replaces_sha256": digest(own[0]) if own is not None else ""}
            about = {"source": source, "format": KIND, "decision": choice}
            writer.add(key, {**facts, **about}, own if choice == "keep" else None)
    summary.decided[choice] += 1


def _own(masks: Record) -> tuple[bytes, bytes] | None:
    """The run's own labels of a sample, where they show anything."""
    if MASK not in masks.files:
        return None
    mask = decode_index_png(masks.files[MASK])
    shows = bool(np.any((mask != BACKGROUND) & (mask != VOID)))
    return (masks.files[MASK], masks.files[INSTANCES]) if shows else None
