"""The filter stage: every sample's verdict as columns, and masks without the pixels that are in doubt."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from dsfactory.core.config import RunSettings
from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Manifest, Run, StageState
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, MASKS, VOID, Record
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Conclusion, Download, Kind, Output, Reporter, Role, Scope, Stage
from dsfactory.dataset.label_faults import verdict_faults
from dsfactory.errors import UserError
from dsfactory.stages.filter.config import FLIP, FilterConfig
from dsfactory.stages.filter.files import COPIES, NOTE, REFERENCE, SCORES
from dsfactory.stages.filter.scores import WITNESSES
from dsfactory.stages.refine.stage import RefineStage

if TYPE_CHECKING:
    from dsfactory.segment.data import Image, Labels
    from dsfactory.stages.filter.plan import Plan
    from dsfactory.stages.filter.scores import Score

COLUMNS = pa.schema(
    [
        ("kept", pa.bool_()),
        ("drop_reason", pa.string()),
        ("decided", pa.string()),
        ("duplicate_of", pa.string()),
        ("fold", pa.int32()),
        ("iou", pa.list_(pa.float32())),
        ("confident_iou", pa.list_(pa.float32())),
        ("evidence", pa.list_(pa.float32())),
        ("similarity", pa.list_(pa.float32())),
        ("quality", pa.float32()),
        ("rank", pa.float32()),
        ("filter_void", pa.float32()),
        ("agree_flip", pa.list_(pa.float32())),
        ("agree_segmenter", pa.list_(pa.float32())),
        ("difficulty", pa.list_(pa.string())),
    ]
)
"""What the filter says of a sample; see :class:`dsfactory.stages.filter.scores.Score` and
:class:`dsfactory.stages.filter.rules.Verdict`. ``filter_void`` is the share of the image that its mask ignores."""

PER_CLASS = ("iou", "confident_iou", "evidence", "similarity", *WITNESSES)
"""Columns with a value per class, null for a class without a mask."""


class FilterStage(Stage):
    """Verdicts from a finished cross-validation.

    A sample that is not kept has the status ``"dropped"``, its mask as it was, and a ``drop_reason``, a key of
    :data:`dsfactory.stages.filter.rules.REASONS`. One that was rejected or failed before stays so.

    Args:
        config: the rules.
        run: the run, which need not be there yet.
        settings: of the run, for witnesses that need its model.
    """

    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 4
    kind: ClassVar[Kind] = Kind.JUDGE
    Config: ClassVar[type[Section]] = FilterConfig
    reads: ClassVar[tuple[Role, ...]] = (Role.IMAGE, Role.LABEL)
    writes: ClassVar[Output] = Output(
        (Role.LABEL, Role.SCORE),
        pa.unify_schemas([RefineStage.writes.schema, COLUMNS]),
        {"ok": MASKS, "dropped": MASKS, "rejected": MASKS},
        bytes_per_pixel=0.06,
        bytes_per_sample=3_000.0,
        added=RefineStage.writes.added | frozenset(WITNESSES) | {"difficulty"},
    )
    artifacts: ClassVar[tuple[str, ...]] = (COPIES,)
    needed: ClassVar[tuple[str, ...]] = (NOTE, SCORES, REFERENCE, COPIES, "fold-*.safetensors")
    varying: ClassVar[tuple[str, ...]] = ("samples", "judged", "scores", "copies")
    meanings: ClassVar[Mapping[str, str]] = {
        "iou": "IoU of the label with what a network predicts that learnt from the other folds.",
        "confident_iou": "The same, where the label counts as wrong only if the network is sure of another one.",
        "evidence": "How surely the network sees the class anywhere in the image.",
        "similarity": "Probability by a CLIP model that the image shows the class.",
        "quality": "How likely the pixels' labels are by the network (cleanlab's label quality).",
        "rank": "Place among the samples of the class by how well label and network agree: 1 is the best, 0 the worst.",
        "filter_void": "Share of the image that the mask ignores after filter.",
        "agree_flip": "IoU of the label with what the model's own attention makes of the mirror image.",
        "agree_segmenter": "IoU of the label with where a promptable segmenter sees the objects.",
    }
    requires: ClassVar[Mapping[str, str]] = {"cleanlab": "filter", "imagehash": "filter"}

    def __init__(self, config: FilterConfig, run: Run, settings: RunSettings) -> None:
        self._config = config
        self._run = run
        self._settings = settings

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(
            settings.of(FilterConfig), Run(run, Manifest(classes=settings.classes, seed=settings.seed)), settings
        )

    @classmethod
    def missing(cls, settings: RunSettings) -> Download | None:
        model = next((name for name in settings.of(FilterConfig).witness if name != FLIP), None)
        if model is None:
            return None
        from dsfactory.segment.promptable import find_promptable

        return Download(model, None) if find_promptable(model) is None else None

    def in_run(self, run: Path) -> "FilterStage":
        return self.served_as(FilterStage(self._config, Run(run, self._run.manifest), self._settings))

    @property
    def device(self) -> str:
        return self._config.device

    def on_device(self, device: str) -> "FilterStage":
        return self.served_as(
            FilterStage(self._config.model_copy(update={"device": device}), self._run, self._settings)
        )

    def scope(self, run: Run | None, redo: bool) -> Scope:
        return Scope.RUN

    def identity(self) -> dict[str, Any]:
        """The rules, and what was judged by what, as far as it has been judged."""
        from dsfactory.stages.filter.note import read_note

        note = read_note(self._run.stage_folder(self.folder))
        judged: dict[str, Any] = asdict(note.judged) if note is not None else {}
        if note is not None and self._config.avoid is not None:
            from dsfactory.stages.filter.copies import copies_mark

            judged["copies"] = copies_mark(self._run.stage_folder(self.folder))
        config = self._config.identity()
        if self._config.real is not None:  # by its content, which the networks were made of
            config["real"] = True
        return {**config, "classes": [item.name for item in self._run.manifest.classes], **judged}

    def check(self, run: Run | None, redo: bool) -> list[str]:
        avoid = self._config.avoid
        if avoid is not None:
            from dsfactory.stages.annotate.images import find_images

            if not Path(avoid).is_dir():
                raise UserError(f"--avoid {avoid} is no folder: name one with the images that none may be a copy of")
            find_images(Path(avoid), self._run.path)  # an empty one is refused before any network learns
        pictures = self._config.pictures
        if pictures is not None and not Path(pictures).absolute().parent.is_dir():
            raise UserError(f"--pictures {pictures}: there is no folder {Path(pictures).parent}")
        if self._config.witness and run is not None:
            from dsfactory.stages.filter.witnesses import check_witnesses

            check_witnesses(self._config.witness, self._settings, run)
        for item in self.inputs[-1:]:
            if missing := {"number", "classes", "area", "status"} - {*item.kind.writes.schema.names}:
                raise UserError(
                    f"filter cannot judge what {item.kind.name} labels: it writes no column {min(missing)!r}"
                )
        return self._plan(run).notes(run) if run is not None else []

    def outdated(self, run: Run, state: StageState) -> str:
        plan = self._plan(run)
        now, then = (len(plan.samples), plan.judged), (state.identity.get("samples"), state.identity.get("judged"))
        if now == then:
            return ""
        return (
            f"filter: the run has {now[0]} samples with masks, {then[0]} when it was filtered: all are judged again, "
            "for the new ones say something about the old"
        )

    def parts(self, run: Run) -> Sequence[str]:
        """The folds whose network is not there."""
        from dsfactory.stages.filter.crossval import untrained_folds
        from dsfactory.stages.filter.note import matching_note

        plan, folder = self._plan(run), self._run.stage_folder(self.folder)
        if matching_note(plan, folder) is not None:
            return ()
        return [plan.part(fold) for fold in untrained_folds(plan, folder)]

    def make_part(self, run: Run, part: str, report: Reporter) -> None:
        from dsfactory.models.devices import choose_device
        from dsfactory.stages.filter.crossval import train_fold

        fold = int(part.split()[1]) - 1
        train_fold(self._plan(run), run.stage_folder(self.folder), fold, choose_device(self._config.device), report)

    def make_artifacts(self, run: Run, report: Reporter) -> None:
        """Cross-validate: a network per fold, and the scores that it gives to what it never saw."""
        from dsfactory.stages.filter.scoring import judge_samples

        plan, folder = self._plan(run), run.make_stage_folder(self.folder)
        judge_samples(plan, folder, report)
        if plan.config.avoid is not None:
            from dsfactory.stages.filter.copies import copies_of, read_copies, write_copies

            if read_copies(folder, plan) is None:
                write_copies(folder, plan, copies_of(plan, run, self.inputs[0].kind.folder, report))

    def conclude(self, run: Run) -> Conclusion:
        from dsfactory.stages.filter.concluding import conclude_verdicts

        return conclude_verdicts(self._plan(run), run.stage_folder(self.folder))

    def preview(self, run: Run, report: Reporter) -> Conclusion:
        from dsfactory.stages.filter.concluding import preview_verdicts

        return preview_verdicts(self._plan(run), run, self.folder, self.inputs[0].kind.folder, report)

    def _plan(self, run: Run) -> "Plan":
        from dsfactory.stages.filter.plan import Plan

        return Plan.of_run(run, self._config, self.inputs, self._settings)

    def load(self) -> None:
        """Decide about all samples, and load the networks."""
        from dsfactory.models.devices import choose_device
        from dsfactory.stages.filter.crossval import load_fold
        from dsfactory.stages.filter.real import Reference
        from dsfactory.stages.filter.rules import Norms, decide
        from dsfactory.stages.filter.scores import read_scores
        from dsfactory.stages.filter.void import loss_limits

        folder = self._run.stage_folder(self.name)
        scores = read_scores(folder / SCORES)
        verdicts = decide(scores, self._config, self._copies(folder))
        names = [item.name for item in self._run.manifest.classes]
        unknown = [names.index(name) + 1 for name in Norms.of(scores).hardly_learnt]
        self._limits = loss_limits(scores, verdicts, self._config.pixel_loss, unknown)
        if self._config.real is not None:
            self._limits = Reference.read(folder / REFERENCE).limits(self._config.pixel_loss)
        self._found = {score.key: (score, verdict) for score, verdict in zip(scores, verdicts, strict=True)}
        labels, device = len(self._run.manifest.classes) + 1, choose_device(self._config.device)
        folds = 1 if self._config.real is not None else self._config.folds
        self._networks = [load_fold(folder, fold, labels, self._config.segment, device) for fold in range(folds)]

    def _copies(self, folder: Path) -> Mapping[str, str]:
        """What is a copy of an image that is to be avoided."""
        if self._config.avoid is None:
            return {}
        from dsfactory.stages.filter.copies import found_copies

        return found_copies(folder)

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        images, labels = inputs[0], inputs[-1]
        for drawn, refined in zip(images.records(), labels.records(), strict=True):
            if refined.key in self._found:
                yield self._with_verdict(drawn.files[IMAGE], refined)
            else:
                row = {**refined.row, **dict.fromkeys(COLUMNS.names), "kept": False}
                yield Record(refined.key, row, refined.files)

    def _with_verdict(self, image: bytes, refined: Record) -> Record:
        from dsfactory.stages.filter.rules import REASONS

        score, verdict = self._found[refined.key]
        mask, instances = (decode_index_png(refined.files[name]) for name in (MASK, INSTANCES))
        if verdict.kept:
            mask, instances = self._without_doubt(decode_rgb_png(image), mask, instances, score.fold)
        row = {
            **refined.row,
            "kept": verdict.kept,
            "drop_reason": verdict.reason,
            "decided": verdict.decided,
            "duplicate_of": verdict.duplicate_of,
            "fold": score.fold,
            **{name: of_classes(refined.row["classes"], score, name) for name in PER_CLASS},
            "quality": score.quality,
            "rank": verdict.rank,
            "filter_void": float(np.mean(mask == VOID)),
            "difficulty": difficulties(
                refined.row, of_classes(refined.row["classes"], score, "iou"), self._config.beta
            ),
            "status": "ok" if verdict.kept else "dropped",
            "reason": "" if verdict.kept else REASONS[verdict.reason],
        }
        files = {MASK: encode_index_png(mask), INSTANCES: encode_index_png(instances)}
        return Record(refined.key, row, files)

    @classmethod
    def lost(cls, folder: Path) -> str:
        from dsfactory.stages.filter.note import read_note

        return "" if read_note(folder) is not None else "the networks and scores of filter"

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        return verdict_faults(record.row, decode_index_png(record.files[MASK]))

    def _without_doubt(self, image: "Image", mask: "Labels", instances: "Labels", fold: int) -> "tuple[Labels, Labels]":
        from dsfactory.segment.predict import predict
        from dsfactory.stages.filter.void import void_doubtful

        if not np.isfinite(self._limits).any():
            return mask, instances
        # One image at a time: in a batch, the last bits would depend on which shard a sample is in.
        (probabilities,) = predict(self._networks[fold], [image], self._config.segment.side)
        return void_doubtful(mask, instances, probabilities, self._limits)


VOUCHED = 0.8
"""Least claim and agreement of a label that a network does not find, for it to count as hard and not as doubtful."""


def difficulties(row: Mapping[str, Any], iou: Sequence[float | None], beta: float) -> list[str | None]:
    """How hard each class of a sample is to find (DetDiffusion, Wang et al. 2024, arXiv 2403.13304, section 3.2).

    Args:
        row: of the labelled sample.
        iou: of each class's label with what a network predicts that never saw it.
        beta: above it, a class is easy.

    Returns:
        ``"easy"``; ``"hard"`` where the network does not find it and attention is sure of it; else ``"doubtful"``, for
        to a network hard and wrong look the same. None for a class without a mask.
    """
    sure = zip(row.get("claim") or [0.0] * len(iou), row.get("agreement") or [0.0] * len(iou), strict=True)
    return [
        None if value is None else "easy" if value > beta else "hard" if min(vouched) >= VOUCHED else "doubtful"
        for value, vouched in zip(iou, sure, strict=True)
    ]


def of_classes(classes: Sequence[str], score: "Score", name: str) -> list[float | None]:
    """A score per class of a sample, in the order asked for: None for a class that its label does not show."""
    values = getattr(score, name)
    found = dict(zip(score.classes, values, strict=True)) if values else {}
    return [found.get(one) for one in classes] if found else []
