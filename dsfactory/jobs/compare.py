"""``dsfactory compare``: how far labels of the same images agree, where they do not, and who is likely right."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.core.words import counted
from dsfactory.errors import UserError
from dsfactory.evaluate.agreement import MAX_RATERS, Accuracy, boundary_f, patterns, staple
from dsfactory.jobs.labellings import Labelling, read_labellings
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop
from dsfactory.segment.metrics import class_iou, confusion

Ids = NDArray[np.uint8]


@dataclass
class Pair:
    """Two hands.

    Attributes:
        one, other: positions of the two.
        counts: int64 ``(labels, labels)``: pixels by the first's label and the second's; what either ignores is out.
        boundary: F-measure of each class's boundary in each image where one of them shows it.
        only: images in which one alone shows a class: by class, (only the first, only the second).
    """

    one: int
    other: int
    counts: NDArray[np.int64]
    boundary: dict[str, list[float]] = field(default_factory=dict)
    only: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Comparison:
    """What was found.

    Attributes:
        labellings: the hands.
        classes: names of those that all know.
        images: names of the images that all have, those on which they agree least first.
        agreement: of each of these, the mean IoU over pairs and the classes shown.
        pairs: of hands.
        accuracy: of each class, STAPLE's word on each hand; empty for two hands, None for a class that nobody sees.
        skipped: images that cannot be compared, with the reason.
        notes: what a person should know.
    """

    labellings: list[Labelling]
    classes: list[str]
    images: list[str]
    agreement: dict[str, float]
    pairs: list[Pair]
    accuracy: dict[str, list[Accuracy] | None]
    skipped: dict[str, str]
    notes: list[str]

    @property
    def exit_code(self) -> int:
        """3 when some images cannot be compared, else 0."""
        return 3 if self.skipped else 0

    def as_json(self) -> dict[str, Any]:
        names = [one.name for one in self.labellings]
        common = {*self.images}
        return {
            "compared": names,
            "classes": self.classes,
            "images": len(self.images),
            "only_in": {one.name: len({*one.masks} - common) for one in self.labellings},
            "pairs": [
                {
                    "one": names[pair.one],
                    "other": names[pair.other],
                    "iou": dict(zip(self.classes, map(_number, class_iou(pair.counts)[1:]), strict=True)),
                    "boundary_f": {name: _mean(pair.boundary.get(name, [])) for name in self.classes},
                    "only": {name: [*pair.only.get(name, (0, 0))] for name in self.classes},
                }
                for pair in self.pairs
            ],
            "staple": {
                name: None if found is None else dict(zip(names, (item.__dict__ for item in found), strict=True))
                for name, found in self.accuracy.items()
            },
            "worst": [{"image": name, "agreement": self.agreement[name]} for name in self.images[:20]],
            "skipped": self.skipped,
            "notes": self.notes,
            "exit_code": self.exit_code,
        }


def compare_job(names: Sequence[str], progress: Progress) -> Comparison:
    """Compare labels of the same images.

    Args:
        names: see :func:`dsfactory.jobs.labellings.read_labellings`; two to six.
        progress: told how far it is.

    Raises:
        UserError: they cannot be compared.
    """
    if not 2 <= len(names) <= MAX_RATERS:
        raise UserError(f"compare takes two to {MAX_RATERS}: 'dsfactory compare runs/a runs/b'")
    found = read_labellings(names)
    classes = found[0].classes or []
    common = sorted(set.intersection(*({*one.masks} for one in found)))
    skipped = {name: f"{why} ({one.name})" for one in found for name, why in one.unread.items()}
    if not common:
        first = [next(iter(one.masks)) for one in found]
        raise UserError(f"no image is in all of them: names are such as {', '.join(first)}")
    labels = len(classes) + 1
    pairs = [Pair(*both, np.zeros((labels, labels), np.int64)) for both in combinations(range(len(found)), 2)]
    answers = np.zeros((labels, 3 ** len(found)), np.int64)
    agreement: dict[str, float] = {}
    progress.begin("compare", len(common), 0, "images")
    for name in common:
        check_stop()
        masks = [one.mask(name) for one in found]
        progress.advance("compare")
        if len({mask.shape for mask in masks}) > 1:
            sizes = ", ".join(f"{mask.shape[1]} × {mask.shape[0]}" for mask in masks)
            skipped[name] = f"has different sizes: {sizes}"
            continue
        agreement[name] = float(np.mean([_add(pair, masks, classes) for pair in pairs]))
        if len(found) > 2:
            for label in {*np.unique(np.stack(masks)).tolist()} - {BACKGROUND, VOID}:
                answers[label] += patterns(masks, label)
    if not agreement:
        raise UserError(f"no image can be compared: {next(iter(skipped))} {next(iter(skipped.values()))}")
    accuracy = {}
    if len(found) > 2:
        accuracy = {name: staple(answers[number], len(found)) for number, name in enumerate(classes, start=1)}
    worst = sorted(agreement, key=lambda name: (agreement[name], name))
    return Comparison(found, classes, worst, agreement, pairs, accuracy, skipped, _notes(found, len(accuracy) > 0))


def _add(pair: Pair, masks: Sequence[Ids], classes: Sequence[str]) -> float:
    """Count an image; the mean IoU over the classes that either shows, 1 where neither shows any."""
    one, other = masks[pair.one], masks[pair.other]
    known = (one != VOID) & (other != VOID)
    own, its = np.where(known, one, VOID), np.where(known, other, VOID)
    counts = confusion(own, its, len(pair.counts))
    pair.counts += counts
    for number, name in enumerate(classes, start=1):
        first, second = own == number, its == number
        if first.any() or second.any():
            pair.boundary.setdefault(name, []).append(boundary_f(first, second))
            before = pair.only.get(name, (0, 0))
            pair.only[name] = before[0] + (not second.any()), before[1] + (not first.any())
    values = class_iou(counts)[1:]
    shown = values[~np.isnan(values)]
    return float(shown.mean()) if shown.size else 1.0


def _notes(found: Sequence[Labelling], estimated: bool) -> list[str]:
    """What a person should know of relatives: their errors are alike."""
    notes = []
    for one, other in combinations(found, 2):
        if one.marks & other.marks:
            what = ", and the estimate takes them for truth" if estimated else ""
            notes.append(
                f"{one.name} and {other.name} go back to the same attention or labels: they share errors{what}"
            )
    return notes


def describe(found: Comparison) -> list[str]:
    """The comparison in lines for a person."""
    names = [one.name for one in found.labellings]
    letters = [chr(ord("A") + place) for place in range(len(names))]
    lines = [f"{letter}  {name}: {counted(len(one.masks), 'image')}, {len({*one.masks} - {*found.images})} not in all"
             for letter, name, one in zip(letters, names, found.labellings, strict=True)]  # fmt: skip
    wide = max(map(len, [*found.classes, "class"]))
    for pair in found.pairs:
        lines += ["", f"{letters[pair.one]} and {letters[pair.other]} on {counted(len(found.images), 'image')}"]
        lines.append(f"  {'class':<{wide}}    IoU  boundary F  only {letters[pair.one]}  only {letters[pair.other]}")
        for name, value in zip(found.classes, class_iou(pair.counts)[1:], strict=True):
            only = pair.only.get(name, (0, 0))
            edge = _mean(pair.boundary.get(name, []))
            lines.append(f"  {name:<{wide}}  {_said(_number(value))}       {_said(edge)}  {only[0]:>6}  {only[1]:>6}")
    if found.accuracy:
        lines += [
            "",
            "likely IoU with the truth (STAPLE)",
            f"  {'class':<{wide}}  {'  '.join(f'{one:>5}' for one in letters)}",
        ]
        for name, said in found.accuracy.items():
            values = [None] * len(names) if said is None else [item.iou for item in said]
            lines.append(f"  {name:<{wide}}  {'  '.join(map(_said, values))}")
    return lines


def _said(value: float | None) -> str:
    return "    –" if value is None else f"{value:5.2f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None
