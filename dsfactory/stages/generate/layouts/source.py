"""Where a run's layouts come from: a labelled folder, a run's kept masks, or random shapes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run, is_run
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.core.seeds import derive_seed
from dsfactory.dataset.labels import images_and_labels
from dsfactory.dataset.samples import KeptSamples
from dsfactory.errors import UserError
from dsfactory.formats.reading.labelled import Labelled, LabelledSet, class_table
from dsfactory.formats.reading.labels import Unread
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.layouts.arrange import Shape, arrange, blob, trimmed
from dsfactory.stages.generate.layouts.layout import Layout

RANDOM = "random"

SIDE = 512
"""Longer side of a layout that is made here, in pixels; that of an image is scaled from it."""

MOST_SHAPES = 2000
"""Objects per class that are kept to be arranged: the first."""

NAMED = 3
"""Files that cannot be used are named up to so many; the rest is counted."""


class Layouts(Protocol):
    """The layouts of a run."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides them, as JSON values."""

    @property
    def notes(self) -> list[str]:
        """What a person should know of them, a line each."""

    def of(self, class_name: str, index: int) -> Layout:
        """The layout of an image of a class: it depends on nothing but these."""


def find_layouts(
    config: GenerateConfig, classes: Sequence[ClassSpec], seed: int, run: Path | None, objects: Sequence[int]
) -> Layouts:
    """The layouts that the settings name.

    Args:
        config: the settings.
        classes: the run's.
        seed: of the run.
        run: its folder.
        objects: numbers of classes that an image shows, which take turns; for those that are made here.

    Raises:
        UserError: they are not there, lie in the run, or show none of the classes.
    """
    assert config.layouts is not None
    width, height = config.width or SIDE, config.height or SIDE
    scale = SIDE / max(width, height)
    size = round(height * scale), round(width * scale)
    made = _Made(config, [item.name for item in classes], seed, tuple(objects), size)
    if config.layouts == RANDOM:
        return made
    path = Path(config.layouts)
    if run is not None and path.absolute().resolve().is_relative_to(run.absolute().resolve()):
        raise UserError(f"--layouts {path} lies in the run itself: name a folder outside, or another --out")
    if not path.exists():
        raise UserError(f"--layouts {path} is not there: name a folder of masks (COCO, VOC, PNG), a run, or 'random'")
    found = _found(path, tuple(classes), _stamp(path))
    if config.layout.arrange if config.layout.arrange is not None else is_run(path):
        made.read = found
        return made
    return _Given(found, config.layout_seeds)


@dataclass
class _Found:
    """Layouts that were read.

    Attributes:
        where: what they came from.
        layouts: in order.
        classes: names of the run's classes.
        notes: a line each.
    """

    where: Path
    layouts: list[Layout]
    classes: list[str]
    notes: list[str]

    @cached_property
    def digest(self) -> str:
        """Hash of all of them."""
        content = hashlib.sha256()
        for item in self.layouts:
            content.update(f"{item.name}\0{item.classes}".encode() + item.mask + item.objects)
        return content.hexdigest()

    def by_class(self) -> dict[str, list[Layout]]:
        """The layouts that show each class.

        Raises:
            UserError: none shows one of them.
        """
        found = {name: [item for item in self.layouts if name in item.classes] for name in self.classes}
        if lacking := [name for name, items in found.items() if not items]:
            raise UserError(
                f"--layouts {self.where}: no layout shows {lacking[0]!r}: leave that class out, name the set's word "
                "for it as a synonym (--classes-file), or add a layout"
            )
        return found


def _stamp(path: Path) -> tuple[int, int]:
    """How many files there are, and when one was changed last, in nanoseconds."""
    times = [file.stat().st_mtime_ns for file in (path.rglob("*") if path.is_dir() else [path])]
    return len(times), max(times, default=0)


@lru_cache(maxsize=1)  # a command asks for a stage several times
def _found(path: Path, classes: tuple[ClassSpec, ...], stamp: tuple[int, int]) -> _Found:
    names = [item.name for item in classes]
    lacking: list[str] = []
    bad: list[str] = []
    layouts: list[Layout] = []
    empty = total = 0
    items: Iterable[Labelled | Unread]
    if is_run(path):
        items, lacking = _of_run(path, classes)
    else:
        try:
            labelled = LabelledSet(path, classes)
        except UserError as error:
            if "brought back" not in str(error):
                raise
            raise UserError(f"--layouts {path} holds no COCO .json, no SegmentationClass and no PNG masks") from error
        items, lacking = labelled.read(), labelled.lacking
    for item in items:
        total += 1
        if isinstance(item, Unread):
            bad.append(f"{item.name} {item.reason}")
        elif ((item.mask != BACKGROUND) & (item.mask != VOID)).any():
            layouts.append(Layout.of(item.name, item.mask, item.objects, names))
        else:
            empty += 1
    if not layouts:
        why = f": {bad[0]}" if bad else " (only background and void)" if total else ""
        raise UserError(f"--layouts {path}: no layout shows a class of the run, which has {', '.join(names)}{why}")
    notes = [f"layouts: {text}: left out" for text in bad[:NAMED]]
    notes += [f"layouts: {len(bad) - NAMED} more cannot be used"] if len(bad) > NAMED else []
    notes += [f"layouts: {empty} of {total} show no class of the run: left out"] if empty else []
    notes += [f"layouts: the run has no class {', '.join(lacking)}: background"] if lacking else []
    return _Found(path, layouts, names, notes)


def _of_run(path: Path, classes: Sequence[ClassSpec]) -> tuple[Iterator[Labelled], list[str]]:
    """The kept masks of a run."""
    from dsfactory.stages import STAGES  # the registry imports this package's stages

    run = Run.open(path)
    theirs = [item.name for item in run.manifest.classes]
    table = class_table(theirs, classes)
    kept = KeptSamples.of(run, *images_and_labels(run, STAGES.begun(run)))

    def read() -> Iterator[Labelled]:
        for sample in kept.samples(lambda: None):
            mask = table[decode_index_png(sample.mask_png)]
            objects = decode_index_png(sample.instances_png)
            yield Labelled(sample.key, mask, np.where(mask == BACKGROUND, np.uint8(0), objects))

    return read(), [name for number, name in enumerate(theirs, start=1) if not table[number]]


class _Given:
    """Layouts as they were read: a class's images go through those that show it, some seeds each."""

    def __init__(self, found: _Found, seeds: int) -> None:
        self._seeds, self._found = seeds, found
        self._by_class = found.by_class()

    @property
    def identity(self) -> dict[str, Any]:
        return {"given": self._found.digest, "seeds": self._seeds}

    @property
    def notes(self) -> list[str]:
        return [*self._found.notes, f"layouts: {len(self._found.layouts)} of {self._found.where}"]

    def of(self, class_name: str, index: int) -> Layout:
        items = self._by_class[class_name]
        return items[index // self._seeds % len(items)]


@dataclass
class _Made:
    """Layouts without end: random shapes, or those of ``read``, in random places."""

    config: GenerateConfig
    classes: list[str]
    seed: int
    objects: tuple[int, ...]
    size: tuple[int, int]
    read: _Found | None = None
    _shapes: dict[str, list[Shape]] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "made of": self.read.digest if self.read else RANDOM,
            "seeds": self.config.layout_seeds,
            "objects": list(self.objects),
            "sizes": list(self.config.layout.sizes),
            "size": list(self.size),
        }

    @property
    def notes(self) -> list[str]:
        return self.read.notes if self.read else []

    def of(self, class_name: str, index: int) -> Layout:
        number = index // self.config.layout_seeds
        random = np.random.default_rng(derive_seed(self.seed, "layout", class_name, number))
        count = self.objects[number % len(self.objects)]
        others = [name for name in self.classes if name != class_name]
        chosen = random.permutation(len(others))[: count - 1]
        names = [class_name, *(others[place] for place in chosen)]
        shapes = [(self.classes.index(name) + 1, self._shape(name, random)) for name in names]
        mask, objects = arrange(shapes, self.size, self.config.layout.sizes, random)
        return Layout.of(f"{class_name}-{number}", mask, objects, self.classes)

    def _shape(self, name: str, random: np.random.Generator) -> Shape:
        if self.read is None:
            return blob(random)
        if not self._shapes:
            self._shapes = {one: shapes_of(items, self.classes.index(one) + 1)
                            for one, items in self.read.by_class().items()}  # fmt: skip
        shapes = self._shapes[name]
        return shapes[random.integers(len(shapes))]


def shapes_of(layouts: Sequence[Layout], label: int) -> list[Shape]:
    """The objects of a class in layouts."""
    found: list[Shape] = []
    for item in layouts:
        mask, objects = decode_index_png(item.mask), decode_index_png(item.objects)
        mine = objects[mask == label]
        found += [trimmed((objects == number) & (mask == label)) for number in np.unique(mine).tolist()]
        if len(found) >= MOST_SHAPES:
            break
    return found


def ordered(layout: Layout, class_name: str) -> tuple[str, ...]:
    """A layout's classes with the one first for which the image is made."""
    return (class_name, *(name for name in layout.classes if name != class_name))
