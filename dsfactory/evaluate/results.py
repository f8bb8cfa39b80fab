"""What an evaluation found: means and spreads, as JSON, Markdown and CSV."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dsfactory.core.sample import BACKGROUND
from dsfactory.segment.metrics import Confusion, class_iou

ARMS = ("synthetic", "real", "both")
"""What the network was trained on."""


@dataclass(frozen=True)
class Results:
    """IoU of one network trained on three sets, tested on the same real images.

    A class that no test image shows has no IoU in any arm and stays out of every mean.

    Attributes:
        names: of the labels in the order of their ids, background first.
        confusions: for each arm, the confusion matrix of each repetition.
        images: number of images by arm, and of the test under ``"val"``.
        settings: how it was measured; handed on to the JSON summary.
        parts: by condition of the test images (``val-night.txt``), the confusions as above.
    """

    names: tuple[str, ...]
    confusions: Mapping[str, Sequence[Confusion]]
    images: Mapping[str, int]
    settings: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Sequence[Confusion]]] = field(default_factory=dict)

    def part(self, name: str) -> "Results":
        """The results on the images of one condition."""
        return replace(self, confusions=self.parts[name], parts={})

    def part_mious(self) -> dict[str, dict[str, float]]:
        """By condition, the mean mIoU of each arm."""
        return {
            name: {arm: round(statistics.fmean(self.part(name).mious(arm)), 6) for arm in ARMS} for name in self.parts
        }

    @property
    def absent(self) -> list[str]:
        """Classes that no test image shows."""
        return [name for name, shown in zip(self.names, self._shown(), strict=True) if not shown]

    def _shown(self) -> list[bool]:
        return [bool(pixels) for pixels in next(iter(self.confusions.values()))[0].sum(axis=1)]

    def class_ious(self, arm: str) -> dict[str, float | None]:
        """Mean over the repetitions of each label's IoU, in [0, 1]; None for a class that no test image shows."""
        means = np.mean([class_iou(counts) for counts in self.confusions[arm]], axis=0)
        pairs = zip(self.names, means.tolist(), self._shown(), strict=True)
        return {name: round(value, 6) if shown else None for name, value, shown in pairs}

    def mious(self, arm: str, background: bool = True) -> list[float]:
        """mIoU of each repetition, in [0, 1]: over the classes with background, as PASCAL VOC counts, or without."""
        shown = np.array(self._shown())
        if not background:
            shown[BACKGROUND] = False
        return [float(np.mean(class_iou(counts)[shown])) for counts in self.confusions[arm]]

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON values. IoUs lie in [0, 1]; the spread is the standard deviation over repetitions."""
        means = {arm: statistics.fmean(self.mious(arm)) for arm in ARMS}
        ious = {arm: self.class_ious(arm) for arm in ARMS}
        return {
            **{f"miou_{arm}": round(means[arm], 6) for arm in ARMS},
            "ratio": round(means["synthetic"] / means["real"], 6) if means["real"] else None,
            "per_class": {name: {arm: ious[arm][name] for arm in ARMS} for name in self.names},
            "miou_without_background": {
                arm: round(statistics.fmean(self.mious(arm, background=False)), 6) for arm in ARMS
            },
            "spread": {arm: self.spread(arm) for arm in ARMS},
            "absent": self.absent,
            **({"by_condition": self.part_mious()} if self.parts else {}),
            "synthetic_images": self.images["synthetic"],
            "real_images": self.images["real"],
            "val_images": self.images["val"],
            **self.settings,
        }

    def spread(self, arm: str) -> float | None:
        """Standard deviation of the mIoU over the repetitions; None when there is one."""
        values = self.mious(arm)
        return round(statistics.stdev(values), 6) if len(values) > 1 else None

    def rows(self) -> list[tuple[str, list[float | None]]]:
        """The table: per label the IoU in each arm, then both means."""
        rows: list[tuple[str, list[float | None]]] = [
            (name, [self.class_ious(arm)[name] for arm in ARMS]) for name in self.names
        ]
        rows.append(("mIoU", [statistics.fmean(self.mious(arm)) for arm in ARMS]))
        rows.append(("mIoU without background", [statistics.fmean(self.mious(arm, background=False)) for arm in ARMS]))
        rows += [(f"mIoU, {name}", [means[arm] for arm in ARMS]) for name, means in self.part_mious().items()]
        return rows

    def to_text(self) -> str:
        """The table for a terminal, IoUs in percent, the spread of the mean beside it."""
        width = max(len(name) for name, _ in self.rows())
        lines = [f"{'IoU in %':<{width}}  {''.join(f'{arm:>12}' for arm in ARMS)}"]
        for name, values in self.rows():
            cells = ["–" if value is None else f"{100 * value:.1f}" for value in values]
            lines.append(f"{name:<{width}}  {''.join(f'{cell:>12}' for cell in cells)}")
        spreads = [self.spread(arm) for arm in ARMS]
        if None not in spreads:
            lines.append(f"{'± over repeats':<{width}}  {''.join(f'{100 * (s or 0):>12.1f}' for s in spreads)}")
        return "\n".join(lines)

    def to_csv(self) -> str:
        """The table with IoUs in [0, 1]."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["class", *ARMS])
        for name, values in self.rows():
            writer.writerow([name, *("" if value is None else f"{value:.6f}" for value in values)])
        return buffer.getvalue()

    def to_markdown(self) -> str:
        """The table with IoUs in percent."""
        lines = [f"| class | {' | '.join(ARMS)} |", f"| --- |{' ---: |' * len(ARMS)}"]
        for name, values in self.rows():
            cells = ["–" if value is None else f"{100 * value:.1f}" for value in values]
            shown = f"**{name}**" if name.startswith("mIoU") else name
            lines.append(f"| {shown} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"
