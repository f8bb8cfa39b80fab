"""The splice stage: kept samples in, new training images out."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from dsfactory.core.classes import ClassSpec
from dsfactory.core.config import RunSettings
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, MASKS, VOID, Record, SampleId
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.space import Space
from dsfactory.core.stage import Kind, Output, Role, Scope, Stage
from dsfactory.dataset.label_faults import TOLERANCE
from dsfactory.dataset.pool import composed_record, open_pool, pool_fingerprint
from dsfactory.dataset.split import Sides
from dsfactory.errors import UserError
from dsfactory.stages.splice import augment
from dsfactory.stages.splice.config import SpliceConfig, grid_of
from dsfactory.stages.splice.mosaic import kinds, mosaic
from dsfactory.stages.splice.paste import cut, free_place, paste, scaled, whole_objects
from dsfactory.stages.splice.scene import Scene, finish, resize
from dsfactory.stages.splice.sources import Scenes

TRIES = 8
"""Samples that are looked at for an object that lies in its image as a whole."""


SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("number", pa.int64()),
        ("kind", pa.string()),
        ("sources", pa.list_(pa.string())),
        ("augmentations", pa.list_(pa.string())),
        ("image_seed", pa.int64()),
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("classes", pa.list_(pa.string())),
        ("area", pa.list_(pa.float32())),
        ("components", pa.list_(pa.int32())),
        ("void", pa.float32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
"""``kind`` is a grid such as ``2x2``, or ``paste``. ``sources`` are the keys of the parts: the cells of a mosaic
row by row, or the background and then the objects; the sample that covers a block comes last. ``classes`` are those
in the mask, with their share of the image in ``area`` and their number of objects in ``components``."""


class SpliceStage(Stage):
    """Draw mosaics and paste compositions from the kept samples of a run.

    Each splice has a seed of its own from the run's seed, its family and its place in it, so that shard size and order
    change nothing. No sample is in one splice twice.

    Args:
        config: what to make.
        classes: the run's classes; the first has id 1.
        seed: the run's seed.
        run_path: the run.
    """

    name: ClassVar[str] = "splice"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.COMPOSER
    generates: ClassVar[bool] = False
    Config: ClassVar[type[Section]] = SpliceConfig
    reads: ClassVar[tuple[Role, ...]] = (Role.IMAGE, Role.LABEL)
    writes: ClassVar[Output] = Output(
        (Role.IMAGE, Role.LABEL),
        SCHEMA,
        {"ok": MASKS | {IMAGE}, "rejected": MASKS | {IMAGE}},
        bytes_per_pixel=1.86,
        bytes_per_sample=23_000.0,
    )
    own_space: ClassVar[bool] = True
    first: ClassVar[int | None] = 1_000_000_000
    varying: ClassVar[tuple[str, ...]] = ("sources",)

    def __init__(self, config: SpliceConfig, classes: Sequence[ClassSpec], seed: int, run_path: Path) -> None:
        self._config, self._classes, self._seed, self._run_path = config, tuple(classes), seed, run_path
        self._sources: Scenes | None = None

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(SpliceConfig), settings.classes, settings.seed, run)

    def in_run(self, run: Path) -> "SpliceStage":
        return self.served_as(SpliceStage(self._config, self._classes, self._seed, run))

    def scope(self, run: Run | None, redo: bool) -> Scope:
        return Scope.RUN

    @property
    def sources(self) -> Scenes:
        """The kept samples that are drawn from.

        Raises:
            UserError: the run's labels are not finished.
            DamagedShard: a row table cannot be read.
        """
        if self._sources is None:
            share = self._config.val_share
            side = Sides(Run.open(self._run_path), self.inputs[0], share)
            pool = open_pool(self._run_path, self.inputs, self._classes, lambda key: side(key) == "train")
            self._sources = Scenes(pool)
        return self._sources

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sources": None}  # every process opens the run by itself

    def check(self, run: Run | None, redo: bool) -> list[str]:
        """Refuse what cannot be made, and say which grids are left out."""
        config = self._config
        if not config.num and not config.paste:
            raise UserError("nothing to splice: ask for mosaics with --num or for paste compositions with --paste")
        if run is None:
            return []
        count = len(self.sources)
        before = run.stage_state(self.folder)
        if before is not None and not redo and before.identity.get("sources") != self.identity()["sources"]:
            raise UserError(
                f"{run.path}: the kept samples have changed since they were spliced: add --redo to splice again"
            )
        kept = f"{run.path} has {count} kept sample{'' if count == 1 else 's'} for the train split"
        wanted = [kind for kind, weight in config.mix.items() if weight]
        if count < 2 or (config.num and not self.mix):
            needed = min(self.cells(kind) for kind in wanted) if config.num else 2
            raise UserError(
                f"{kept}, splicing needs {needed}: draw more with 'dsfactory generate', or choose another --mix"
            )
        if config.num <= Space.of(run, SpliceStage).layout.count("mosaic"):
            return []
        notes = []
        many = [kind for kind in wanted if self.cells(kind) > count]
        if many:
            notes.append(f"splice: {kept}, too few for {', '.join(many)}: the other grids take their place")
        small = [kind for kind in wanted if kind not in many and self.object_side(kind) < config.min_object]
        if small:
            sides = [round(self.object_side(kind)) for kind in small]
            sizes = f"{min(sides)} to {max(sides)}" if min(sides) < max(sides) else f"{sides[0]}"
            made = "made all the same, for there they are largest" if {*self.mix} <= {*small} else "made instead"
            notes.append(
                f"splice: objects would be about {sizes} px large in {', '.join(small)}, less than "
                f"{config.min_object:g}: {', '.join(self.mix)} {made}; a larger --size helps"
            )
        return notes

    def wanted(self, run: Run | None) -> dict[str, int]:
        return {"mosaic": self._config.num, "paste": self._config.paste}

    @staticmethod
    def cells(kind: str) -> int:
        """Samples in a mosaic of a kind."""
        return math.prod(grid_of(kind))

    def object_side(self, kind: str) -> float:
        """Size in pixels of the median object in a mosaic of a kind; infinite where no object was measured."""
        pool, (rows, columns) = self.sources.pool, grid_of(kind)
        if pool.object_side is None:
            return math.inf
        height, width = pool.shape
        return pool.object_side * (self._config.size or max(height, width)) / max(height * rows, width * columns)

    @property
    def mix(self) -> dict[str, float]:
        """The grids for which there are enough samples and whose objects are large enough, with their weights.

        Where objects are too small in all of them, the grids in which they are largest.
        """
        enough = {
            kind: weight
            for kind, weight in self._config.mix.items()
            if weight and self.cells(kind) <= len(self.sources)
        }
        sides = {kind: self.object_side(kind) for kind in enough}
        least = min(self._config.min_object, max(sides.values(), default=0.0))
        return {kind: weight for kind, weight in enough.items() if sides[kind] >= least}

    def identity(self) -> dict[str, Any]:
        """The settings, the classes, the seed, and a fingerprint of the samples that are drawn from."""
        return {
            **self._config.identity(),
            "classes": [spec.name for spec in self._classes],
            "seed": self._seed,
            "sources": pool_fingerprint(self._run_path, self.inputs),
        }

    def load(self) -> None:
        """Keep OpenCV to one thread, for shards are the unit of parallel work."""
        import cv2

        cv2.setNumThreads(1)
        self._space = Space.of(Run.open(self._run_path), SpliceStage)
        count = self._space.layout.count("mosaic")
        self._kinds = list(islice(kinds(self.mix), count)) if self.mix else []

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        """Yield the shard's splices; each is drawn from any shards of the run."""
        for sample in self._space.samples(shard):
            rng = np.random.default_rng(sample.seed)
            kind = self._kinds[sample.index] if sample.cell == "mosaic" else "paste"
            scene, parts = self._paste(rng) if sample.cell == "paste" else self._mosaic(kind, rng)
            yield self._record(sample, kind, *self._augmented(scene, parts, rng))

    def _mosaic(self, kind: str, rng: np.random.Generator) -> tuple[Scene, list[int]]:
        rows, columns = grid_of(kind)
        parts = [int(part) for part in rng.choice(len(self.sources), rows * columns, replace=False)]
        scenes = [self.sources.scene(part) for part in parts]
        return mosaic(scenes, rows, columns, self._config.size or max(scenes[0].height, scenes[0].width)), parts

    def _paste(self, rng: np.random.Generator) -> tuple[Scene, list[int]]:
        parts = [int(rng.integers(len(self.sources)))]
        background = self.sources.scene(parts[0])
        side = max(background.height, background.width)
        factor = (self._config.size or side) / side
        resized = resize(
            background, max(1, round(background.height * factor)), max(1, round(background.width * factor))
        )
        canvas = Scene(resized.image.copy(), resized.mask.copy(), resized.instances.copy())
        for _ in range(int(rng.integers(1, self._config.paste_objects + 1))):
            found = self._object(parts, rng)
            if found is None:
                break
            part, number = found
            scene = self.sources.scene(part)
            parts.append(part)
            grow = math.exp(rng.uniform(math.log(self._config.scale_low), math.log(self._config.scale_high)))
            fit = max(canvas.height, canvas.width) / max(scene.height, scene.width)
            cutout = scaled(cut(scene, number), grow * fit, bool(rng.integers(2)), canvas.height, canvas.width)
            paste(canvas, cutout, *free_place(canvas, cutout, rng), self._config.feather)
        return canvas, parts

    def _object(self, used: list[int], rng: np.random.Generator) -> tuple[int, int] | None:
        """An object of a sample that is not used yet, and its id there; None when there is none.

        First a class is drawn, so that a rare one is pasted as often as a common one. An object that the border cuts
        is taken only where a few samples show no other.
        """
        free = [candidates[~np.isin(candidates, used)] for candidates in self.sources.pool.by_class]
        shown = [position for position, candidates in enumerate(free) if len(candidates)]
        if not shown:
            return None
        position = int(rng.choice(shown))
        candidates = rng.permutation(free[position])[:TRIES]
        cut_off: tuple[int, int] | None = None
        for part in candidates:
            scene = self.sources.scene(int(part))
            own = np.unique(scene.instances[scene.mask == position + 1])
            whole = np.intersect1d(own, whole_objects(scene, self._config.min_area))
            if len(whole):
                return int(part), int(rng.choice(whole))
            if len(own) and cut_off is None:
                cut_off = int(part), int(rng.choice(own))
        return cut_off

    def _augmented(
        self, scene: Scene, parts: list[int], rng: np.random.Generator
    ) -> tuple[Scene, list[int], list[str]]:
        config = self._config
        wanted = rng.random(3) < (config.occlusion, config.perspective, config.blur)
        free = np.setdiff1d(np.arange(len(self.sources)), parts) if wanted[0] else np.array([], dtype=np.int64)
        applied = []
        if len(free):
            other = int(rng.choice(free))
            scene, parts = augment.occlude(scene, self.sources.scene(other), rng), [*parts, other]
            applied.append("occlusion")
        transforms: list[tuple[bool, str, Callable[[Scene, np.random.Generator], Scene]]] = [
            (wanted[1], "perspective", augment.perspective),
            (wanted[2], "blur", augment.blur),
        ]
        for asked, name, transform in transforms:
            if asked:
                scene = transform(scene, rng)
                applied.append(name)
        return scene, parts, applied

    def _record(self, sample: SampleId, kind: str, scene: Scene, parts: list[int], augmentations: list[str]) -> Record:
        row = {
            "key": sample.key,
            "number": sample.number,
            "kind": kind,
            "sources": [self.sources.pool.samples[part].key for part in parts],
            "augmentations": augmentations,
            "image_seed": sample.seed,
            "model": self.sources.pool.model,
        }
        names = [item.name for item in self._classes]
        return composed_record(row, scene.image, *finish(scene, self._config.min_area), names)

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        row = record.row
        mask, instances = decode_index_png(record.files[MASK]), decode_index_png(record.files[INSTANCES])
        ids = [classes.index(name) + 1 for name in row["classes"]]
        area = [float(np.mean(mask == number)) for number in ids]
        close = len(row["area"]) == len(area) and np.allclose(row["area"], area, rtol=0, atol=TOLERANCE)
        if not close or not np.isclose(row["void"], np.mean(mask == VOID), rtol=0, atol=TOLERANCE):
            yield "the columns area and void do not fit the mask"
        if row["components"] != [len(np.unique(instances[mask == number])) for number in ids]:
            yield "the column components does not fit the instances"
        if len(set(row["sources"])) < len(row["sources"]):
            yield "shows a sample twice"
