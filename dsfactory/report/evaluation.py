"""Tables of what was measured: ``evaluate/results.json`` of ``dsfactory evaluate``, and ``evaluate/ablation.json``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

ARMS = ("synthetic", "real", "both")
MAX_FILE = 16 * 2**20
"""Bytes of a results file that is read."""


@dataclass(frozen=True)
class Table:
    """A table of the page; cells are text.

    Attributes:
        header: names of the columns; the first column names the rows.
        caption: a sentence below.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    caption: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


FileT = TypeVar("FileT", bound=_File)


class Evaluation(_File):
    """What of ``results.json`` the page shows. IoUs lie in [0, 1]; None stands for a class that no test image shows."""

    miou_synthetic: float
    miou_real: float
    miou_both: float
    ratio: float | None
    per_class: dict[str, dict[str, float | None]] = Field(max_length=300)
    spread: dict[str, float | None] = Field({}, description="Standard deviation of the mIoU over repetitions.")
    synthetic_images: int | None = None
    real_images: int | None = None
    val_images: int
    steps: int | None = None
    repeats: int = 1

    def headline(self) -> str:
        text = f"Trained on this dataset, a segmenter reaches {self.miou_synthetic:.3f} mIoU on real images"
        if self.ratio is not None:
            text += f", {self.ratio:.0%} of what it reaches when trained on real labels ({self.miou_real:.3f})"
        return f"{text}. Trained on both: {self.miou_both:.3f}."

    def table(self) -> Table:
        rows = [[name, *(_cell(values.get(arm)) for arm in ARMS)] for name, values in self.per_class.items()]
        means = (self.miou_synthetic, self.miou_real, self.miou_both)
        spreads = (self.spread.get(arm) for arm in ARMS)
        rows.append(["mIoU", *(_cell(mean, spread) for mean, spread in zip(means, spreads, strict=True))])
        caption = f"{self.val_images:,} real test images"
        if self.synthetic_images is not None and self.real_images is not None:
            caption += f"; trained on {self.synthetic_images:,} synthetic and {self.real_images:,} real images"
        caption += f"; {self.steps:,} steps each" if self.steps is not None else ""
        caption += f"; mean ± standard deviation of {self.repeats} repetitions." if self.repeats > 1 else "."
        return Table("IoU by what it was trained on", ["Class", *ARMS], rows, caption)


class _Ablation(_File):
    """A table as it is to be shown; the first column names the rows."""

    title: str = "Ablation"
    columns: list[str] = Field(min_length=1, max_length=20)
    rows: list[list[str | float | None]] = Field(max_length=200)
    caption: str = ""

    def table(self) -> Table:
        rows = [[cell if isinstance(cell, str) else _cell(cell) for cell in row] for row in self.rows]
        return Table(self.title, self.columns, rows, self.caption)


@dataclass(frozen=True)
class Measured:
    """What the run's ``evaluate`` folder says.

    Attributes:
        headline: the result in a sentence; empty without an evaluation.
        ratio: mIoU of training on synthetic ÷ on real images; None when it is not known.
        tables: to be shown in this order.
        unreadable: names of files that are there and are not what they should be.
    """

    headline: str
    ratio: float | None
    tables: list[Table]
    unreadable: list[str]


def read_measured(run_path: Path) -> Measured:
    """Read both files, as far as they are there."""
    folder = run_path / "evaluate"
    unreadable: list[str] = []
    evaluation = _read(folder / "results.json", Evaluation, unreadable)
    ablation = _read(folder / "ablation.json", _Ablation, unreadable)
    tables = [item.table() for item in (evaluation, ablation) if item is not None]
    headline = evaluation.headline() if evaluation else ""
    return Measured(headline, evaluation.ratio if evaluation else None, tables, unreadable)


def _read(path: Path, kind: type[FileT], unreadable: list[str]) -> FileT | None:
    if not path.exists():
        return None
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            raise ValueError("not a file of a size that dsfactory writes")
        return kind.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        unreadable.append(f"{path.parent.name}/{path.name}")
        return None


def _cell(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if spread is None else f"{value:.3f} ± {spread:.3f}"
