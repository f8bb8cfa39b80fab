"""The filter stage: every sample's verdict as columns, and masks without the pixels that are in doubt."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import VOID, Record
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Stage
from dsfactory.errors import UserError
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.generate.stage import IMAGE
from dsfactory.stages.refine.stage import RefineStage

if TYPE_CHECKING:
    from dsfactory.segment.data import Image, Labels
    from dsfactory.stages.filter.note import Judged

COLUMNS = pa.schema(
    [
        ("kept", pa.bool_()),
        ("drop_reason", pa.string()),
        ("duplicate_of", pa.string()),
        ("fold", pa.int32()),
        ("iou", pa.list_(pa.float32())),
        ("confident_iou", pa.list_(pa.float32())),
        ("evidence", pa.list_(pa.float32())),
        ("similarity", pa.list_(pa.float32())),
        ("quality", pa.float32()),
        ("rank", pa.float32()),
        ("filter_void", pa.float32()),
    ]
)
"""What the filter says of a sample; see :class:`dsfactory.stages.filter.scores.Score` and
:class:`dsfactory.stages.filter.rules.Verdict`. ``filter_void`` is the share of the image that its mask ignores."""


class FilterStage(Stage):
    """Verdicts from a finished cross-validation.

    A sample that is not kept has the status ``"dropped"``, its mask as it was, and a ``drop_reason``, a key of
    :data:`dsfactory.stages.filter.rules.REASONS`. One that was rejected or failed before stays so.

    Args:
        config: the rules.
        run: whose images the masks belong to.
        judged: the cross-validation that is in ``filter/``.
    """

    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 3
    upstream: ClassVar[str | None] = "refine"
    schema: ClassVar[pa.Schema] = pa.unify_schemas([RefineStage.schema, COLUMNS])

    def __init__(self, config: FilterConfig, run: Run, judged: "Judged") -> None:
        self._config = config
        self._run = run
        self._judged = judged

    @classmethod
    def of_run(cls, config: FilterConfig, run: Run) -> "FilterStage":
        """The stage with the cross-validation that is in the run.

        Raises:
            UserError: there is none, or it is damaged.
        """
        from dsfactory.stages.filter.note import read_note

        note = read_note(run.stage_folder(cls.name))
        if note is None:
            raise UserError(f"{run.path} has no finished cross-validation: run 'dsfactory filter {run.path}' first")
        return cls(config, run, note.judged)

    def identity(self) -> dict[str, Any]:
        """The rules, and what was judged by what."""
        return {
            **self._config.identity(),
            "classes": [item.name for item in self._run.manifest.classes],
            **asdict(self._judged),
        }

    def prepare(self) -> None:
        """Decide about all samples, and load the networks."""
        from dsfactory.models.loading import choose_device
        from dsfactory.stages.filter.crossval import load_fold
        from dsfactory.stages.filter.note import SCORES
        from dsfactory.stages.filter.rules import decide
        from dsfactory.stages.filter.scores import read_scores
        from dsfactory.stages.filter.void import loss_limits

        folder = self._run.stage_folder(self.name)
        scores = read_scores(folder / SCORES)
        verdicts = decide(scores, self._config)
        self._limits = loss_limits(scores, verdicts, self._config.pixel_loss)
        self._found = {score.key: (score, verdict) for score, verdict in zip(scores, verdicts, strict=True)}
        labels, device = len(self._run.manifest.classes) + 1, choose_device(self._config.device)
        self._networks = [
            load_fold(folder, fold, labels, self._config.segment, device) for fold in range(self._config.folds)
        ]

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        """Yield one record per sample of the refine shard, in its order."""
        assert upstream is not None
        for drawn, refined in zip(self._run.reader("generate", shard).records(), upstream.records(), strict=True):
            if refined.key in self._found:
                yield self._with_verdict(drawn.files[IMAGE], refined)
            else:
                row = {**refined.row, **dict.fromkeys(COLUMNS.names), "kept": False}
                yield Record(refined.key, row, refined.files)

    def _with_verdict(self, image: bytes, refined: Record) -> Record:
        from dsfactory.stages.filter.rules import REASONS

        score, verdict = self._found[refined.key]
        mask, instances = (decode_index_png(refined.files[name]) for name in ("mask.png", "instances.png"))
        if verdict.kept:
            mask, instances = self._without_doubt(decode_rgb_png(image), mask, instances, score.fold)
        row = {
            **refined.row,
            "kept": verdict.kept,
            "drop_reason": verdict.reason,
            "duplicate_of": verdict.duplicate_of,
            "fold": score.fold,
            "iou": score.iou,
            "confident_iou": score.confident_iou,
            "evidence": score.evidence,
            "similarity": score.similarity,
            "quality": score.quality,
            "rank": verdict.rank,
            "filter_void": float(np.mean(mask == VOID)),
            "status": "ok" if verdict.kept else "dropped",
            "reason": "" if verdict.kept else REASONS[verdict.reason],
        }
        files = {"mask.png": encode_index_png(mask), "instances.png": encode_index_png(instances)}
        return Record(refined.key, row, files)

    def _without_doubt(self, image: "Image", mask: "Labels", instances: "Labels", fold: int) -> "tuple[Labels, Labels]":
        from dsfactory.segment.predict import predict
        from dsfactory.stages.filter.void import void_doubtful

        if not np.isfinite(self._limits).any():
            return mask, instances
        # One image at a time: in a batch, the last bits would depend on which shard a sample is in.
        (probabilities,) = predict(self._networks[fold], [image], self._config.segment.side)
        return void_doubtful(mask, instances, probabilities, self._limits)
