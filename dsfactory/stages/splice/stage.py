"""The splice stage: kept samples in, new training images out."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from dsfactory.core.config import ClassSpec
from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.sample import VOID, Record, sample_key
from dsfactory.core.seeds import derive_seed
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.space import STAGE, Layout
from dsfactory.core.stage import Stage
from dsfactory.stages.splice import augment
from dsfactory.stages.splice.config import SpliceConfig, grid_of
from dsfactory.stages.splice.mosaic import kinds, mosaic
from dsfactory.stages.splice.paste import cut, free_place, paste, scaled, whole_objects
from dsfactory.stages.splice.scene import Scene, finish, resize
from dsfactory.stages.splice.sources import INSTANCES, MASK, Sources

IMAGE = "image.png"
TRIES = 8
"""Samples that are looked at for an object that lies in its image as a whole."""


class SpliceStage(Stage):
    """Draw mosaics and paste compositions from the kept samples of a run.

    Each splice has a seed of its own from the run's seed, its family and its place in it, so that shard size and order
    change nothing. No sample is in one splice twice.

    Args:
        config: what to make.
        classes: the run's classes; the first has id 1.
        seed: the run's seed.
        sources: what is drawn from.
        fingerprint: says what that is: :func:`dsfactory.stages.splice.sources.fingerprint_of`.
        layout: which shard holds what.
    """

    name: ClassVar[str] = STAGE
    version: ClassVar[int] = 1
    upstream: ClassVar[str | None] = None
    """None in the store's sense: its shards are not those of another stage. What it draws from is in its identity."""
    schema: ClassVar[pa.Schema] = pa.schema(
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

    def __init__(
        self,
        config: SpliceConfig,
        classes: Sequence[ClassSpec],
        seed: int,
        sources: Sources,
        fingerprint: str,
        layout: Layout,
    ) -> None:
        self._config, self._classes, self._seed, self._fingerprint = config, classes, seed, fingerprint
        self.sources, self.layout = sources, layout

    @staticmethod
    def cells(kind: str) -> int:
        """Samples in a mosaic of a kind."""
        return math.prod(grid_of(kind))

    @property
    def mix(self) -> dict[str, float]:
        """The grids for which there are enough samples, with their weights."""
        return {
            kind: weight
            for kind, weight in self._config.mix.items()
            if weight and self.cells(kind) <= len(self.sources)
        }

    def identity(self) -> dict[str, Any]:
        """The settings, the classes, the seed, and a fingerprint of the samples that are drawn from."""
        return {
            **self._config.identity(),
            "classes": [spec.name for spec in self._classes],
            "seed": self._seed,
            "sources": self._fingerprint,
        }

    def prepare(self) -> None:
        """Keep OpenCV to one thread, for shards are the unit of parallel work."""
        import cv2

        cv2.setNumThreads(1)
        self._kinds = list(islice(kinds(self.mix), self.layout.count("mosaic"))) if self.mix else []

    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        """Yield the shard's splices; each is drawn from any shards of the run."""
        first, _, family = self.layout.shards[shard.index]
        for offset in range(len(shard)):
            index = first + offset
            seed = derive_seed(self._seed, STAGE, family, index)
            rng = np.random.default_rng(seed)
            kind = self._kinds[index] if family == "mosaic" else "paste"
            scene, parts = self._paste(rng) if family == "paste" else self._mosaic(kind, rng)
            yield self._record(shard.start + offset, kind, seed, *self._augmented(scene, parts, rng))

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
        free = [candidates[~np.isin(candidates, used)] for candidates in self.sources.by_class]
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

    def _record(
        self, number: int, kind: str, seed: int, scene: Scene, parts: list[int], augmentations: list[str]
    ) -> Record:
        mask, instances = finish(scene, self._config.min_area)
        ids = [value for value in np.unique(mask).tolist() if value not in (0, VOID)]
        row = {
            "key": sample_key(number),
            "number": number,
            "kind": kind,
            "sources": [self.sources.samples[part].key for part in parts],
            "augmentations": augmentations,
            "image_seed": seed,
            "model": self.sources.model,
            "width": scene.width,
            "height": scene.height,
            "classes": [self._classes[value - 1].name for value in ids],
            "area": [float(np.mean(mask == value)) for value in ids],
            "components": [len(np.unique(instances[mask == value])) for value in ids],
            "void": float(np.mean(mask == VOID)),
            "status": "ok" if ids else "rejected",
            "reason": "" if ids else "no object is left",
        }
        files = {
            IMAGE: encode_rgb_png(scene.image),
            MASK: encode_index_png(mask),
            INSTANCES: encode_index_png(instances),
        }
        return Record(sample_key(number), row, files)
