"""Which of a run's samples an export takes, and how it changes them: classes, the best of each, the size."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.png import decode_index_png, encode_index_png, encode_rgb_png
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.exported import numbered
from dsfactory.dataset.own_files import nearest
from dsfactory.dataset.sample import ExportSample
from dsfactory.errors import UserError
from dsfactory.jobs.samples import RunSamples
from dsfactory.runner.signals import check_stop

AGREEMENT = "agreement"
"""Column of the labels by which samples are ranked where trust is not known."""


@dataclass(frozen=True)
class Choice:
    """What is asked of an export beyond the kept samples as they are.

    Attributes:
        classes: names of those that are taken, in the order of their new ids; empty for all. What shows another class
            becomes background, and images that show none of them are left out.
        top: samples taken of each class, those with the best score; None for all. Composed samples are taken where all
            their parents are.
        size: length in pixels of the longer side to which images and labels are resized; None for as they are.
    """

    classes: tuple[str, ...] = ()
    top: int | None = None
    size: int | None = None

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Self:
        """That of an export, by its settings."""
        return cls(tuple(settings.get("of_classes", ())), settings.get("top"), settings.get("size"))

    def settings(self) -> dict[str, Any]:
        """What tells the export from one of all samples as they are."""
        found = {"of_classes": list(self.classes), "top": self.top, "size": self.size}
        return {name: value for name, value in found.items() if value}

    def class_names(self, known: Sequence[str]) -> list[str]:
        """Names of the classes in the export.

        Raises:
            UserError: one is none of the run's, or named twice.
        """
        for name in self.classes:
            if name not in known:
                raise UserError(f"--classes {name}: the run has {', '.join(known)}")
        if len({*self.classes}) < len(self.classes):
            raise UserError(f"--classes {','.join(self.classes)}: a class is named twice")
        return list(self.classes or known)

    def taken(self, samples: Iterator[ExportSample], known: Sequence[str], found: RunSamples) -> Iterator[ExportSample]:
        """The samples that an export takes of all, as it has them.

        Args:
            samples: all, as they are.
            known: the run's classes.
            found: where they are from; its rows are read for :attr:`top`.
        """
        best = self._best(found, known) if self.top else None
        table = np.arange(256, dtype=np.uint8)
        if self.classes:
            table[1 : len(known) + 1] = BACKGROUND
            for number, name in enumerate(self.classes, start=1):
                table[known.index(name) + 1] = number
        for sample in samples:
            parents = sample.row.get("sources") or (sample.key,)
            if best is not None and not best.issuperset(parents):
                continue
            if self.classes:
                chosen = _only(sample, table)
                if chosen is None:
                    continue
                sample = chosen
            yield _resized(sample, self.size) if self.size else sample

    def count(self, found: RunSamples, known: Sequence[str]) -> int:
        """How many samples :meth:`taken` yields at most; no image is read."""
        return len(self._best(found, known)) if self.top else found.count()

    def _best(self, found: RunSamples, known: Sequence[str]) -> set[str]:
        """Keys of the best samples of each class; ties go to the lower key, corrected samples come first.

        Raises:
            UserError: no stage has scored the samples.
        """
        assert self.top is not None
        ranked: dict[str, list[tuple[float, str]]] = {name: [] for name in self.classes or known}
        for row, score in self._scored(found):
            for shown in {*row["classes"]} & ranked.keys():
                ranked[shown].append((-score, row["key"]))
        fixed = {key for key, fix in found.kept.corrections.entries.items() if not fix.decision}
        best = {key for rows in ranked.values() for _, key in sorted(rows)[: self.top]}
        return best | fixed

    @staticmethod
    def _scored(found: RunSamples) -> Iterator[tuple[Mapping[str, Any], float]]:
        """The row of each kept sample with its score: the least trust of its objects, else the least agreement."""
        if found.trust is not None:
            for sample in found.kept.samples(check_stop, None, found.trust):
                yield {**sample.row, "key": sample.key}, min(sample.trust.values(), default=0.0)
            return
        for row in found.kept.rows():
            if not row.get(AGREEMENT):
                raise UserError("--top: no stage of the run has scored its samples")
            yield row, float(np.min(row[AGREEMENT]))


def _only(sample: ExportSample, table: NDArray[np.uint8]) -> ExportSample | None:
    """A sample with other class ids; None where no object is left and there was one."""
    mask, instances = decode_index_png(sample.mask_png), decode_index_png(sample.instances_png)
    chosen = table[mask]
    gone = (chosen == BACKGROUND) & (mask != BACKGROUND)
    if gone.any() and not ((chosen != BACKGROUND) & (chosen != VOID)).any():
        return None
    return replace(sample, **_pngs(chosen, instances))


def _resized(sample: ExportSample, side: int) -> ExportSample:
    """A sample whose longer side has this length: the image is filtered, labels take the nearest pixel's."""
    with Image.open(io.BytesIO(sample.upright_png())) as image:
        share = side / max(image.size)
        width, height = (max(1, round(length * share)) for length in image.size)
        pixels = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
    mask, instances = (
        nearest(decode_index_png(png), (height, width)) for png in (sample.mask_png, sample.instances_png)
    )
    return replace(sample, image_png=encode_rgb_png(pixels), original=None, **_pngs(mask, instances))


def _pngs(mask: NDArray[np.uint8], instances: NDArray[np.uint8]) -> dict[str, Any]:
    """Labels as files; the objects that are left are numbered from 1."""
    numbers, _ = numbered(mask, instances)
    return {"mask_png": encode_index_png(mask), "instances_png": encode_index_png(numbers.astype(np.uint8))}
