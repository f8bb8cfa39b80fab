"""Judges of whether a sample is hard: networks that learnt from other labels than its own.

After ImageNet-D (Zhang et al. 2024, arXiv 2403.18775, section 3.2): what all of several models get wrong is hard for
models that were not asked, too. What one alone gets wrong is mostly a wrong label.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.classes import slug
from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import CONFIG, Run, is_run
from dsfactory.core.sample import VOID
from dsfactory.core.stage import Reporter
from dsfactory.errors import UserError

if TYPE_CHECKING:
    from dsfactory.segment.network import Segmenter
    from dsfactory.stages.select.choice import Candidates

SIDE = 512
"""Longer side in pixels at which a checkpoint looks at an image."""

Ids = NDArray[np.uint8]


class Judge:
    """Networks whose mean prediction counts as one.

    Args:
        path: a checkpoint of transformers for semantic segmentation, or a run that was filtered.
        classes: those that it has to know; other labels of it are background.

    Raises:
        UserError: it cannot be loaded, or does not know a class.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._networks, names, self._side = _of_run(path) if is_run(path) else _of_checkpoint(path)
        known = {slug(name): number for number, name in names.items()}
        missing = [name for name in classes if slug(name) not in known]
        if missing:
            raise UserError(f"--judges {path}: it does not know {missing[0]!r}; it knows {', '.join(names.values())}")
        self._ids = np.zeros(max(names, default=0) + 1, np.uint8)
        for number, name in enumerate(classes, start=1):
            self._ids[known[slug(name)]] = number

    def labels(self, image: NDArray[np.uint8]) -> Ids:
        """uint8 ``(height, width)`` of the run's class ids, of an image uint8 ``(height, width, 3)``."""
        from dsfactory.segment.predict import predict

        total = sum(next(predict(network, [image], self._side)) for network in self._networks)
        best: NDArray[np.int64] = np.argmax(total, axis=0)
        return self._ids[best]


def _of_run(path: Path) -> "tuple[list[Segmenter], dict[int, str], int]":
    import torch

    from dsfactory.stages import RunConfig
    from dsfactory.stages.filter.config import FilterConfig
    from dsfactory.stages.filter.crossval import load_fold
    from dsfactory.stages.filter.note import read_note

    if read_note(path / "filter") is None:
        raise UserError(f"--judges {path}: this run has no networks: run 'dsfactory filter {path}' first")
    config = RunConfig.read(path / CONFIG)
    rules = config.of(FilterConfig)
    networks = [
        load_fold(path / "filter", fold, len(config.classes) + 1, rules.segment, torch.device("cpu"))
        for fold in range(rules.folds)
    ]
    return networks, dict(enumerate((item.name for item in config.classes), start=1)), rules.segment.side


def _of_checkpoint(path: Path) -> "tuple[list[Segmenter], dict[int, str], int]":
    from safetensors import SafetensorError
    from transformers import AutoConfig

    from dsfactory.segment.config import SegmentConfig
    from dsfactory.segment.network import build_segmenter

    try:
        names = {int(number): str(name) for number, name in AutoConfig.from_pretrained(path).id2label.items()}
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"--judges {path} cannot be loaded: {str(error).splitlines()[0][:200]}") from error
    return [build_segmenter(len(names), SegmentConfig(checkpoint=str(path), side=SIDE), 0)], names, SIDE


def judge_samples(
    run: Run, found: "Candidates", classes: Sequence[str], judges: Sequence[str], report: Reporter
) -> NDArray[np.float64]:
    """The IoU of each judge's prediction with each sample's label.

    Args:
        run: the run.
        found: the samples. Where the filter has seen them, the network that did not learn from a sample is the first
            judge.
        classes: the run's.
        judges: paths of the others.
        report: told about progress.

    Returns:
        float64 ``(samples, judges)`` in [0, 1].

    Raises:
        UserError: a judge cannot be used.
    """
    columns = [[_mean(row["iou"]) for row in found.rows]] if "iou" in found.rows[0] else []
    for number, path in enumerate(judges, start=1):
        judge = Judge(Path(path), classes)
        columns.append([])
        for place, (image, mask) in enumerate(_samples(found)):
            report(f"judge {number}", place, len(found.keys))
            columns[-1].append(mean_iou_of(mask, judge.labels(image)))
        report(f"judge {number}", len(found.keys), len(found.keys))
    return np.array(columns, dtype=np.float64).T


def mean_iou_of(label: Ids, prediction: Ids) -> float:
    """Mean IoU over the classes that a label shows; ignored pixels count for nobody. 1 for a label without any."""
    known = label != VOID
    ids = [number for number in np.unique(label[known]).tolist() if number]
    found = []
    for number in ids:
        one, other = label[known] == number, prediction[known] == number
        found.append(float(np.count_nonzero(one & other) / np.count_nonzero(one | other)))
    return float(np.mean(found)) if found else 1.0


def _samples(found: "Candidates") -> Iterator[tuple[NDArray[np.uint8], Ids]]:
    for place in range(len(found.keys)):
        image, mask, _ = found.pool.files(place)
        yield decode_rgb_png(image), decode_index_png(mask)


def _mean(values: Sequence[float | None] | None) -> float:
    known = [one for one in values or () if one is not None]
    return float(np.mean(known)) if known else 0.0
