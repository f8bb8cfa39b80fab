"""The defects stage: clean pictures become samples, some of them with a flaw and its mask."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import pyarrow as pa

from dsfactory.core.classes import ClassSpec, slug
from dsfactory.core.config import RunSettings
from dsfactory.core.png import encode_grey_png, encode_index_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK, MASKS, VOID, Media, Record, sample_key
from dsfactory.core.section import Section
from dsfactory.core.seeds import derive_seed
from dsfactory.core.shard import SOURCE_COLUMNS, ShardReader, ShardSpec
from dsfactory.core.stage import Conclusion, Kind, Output, Role, Stage
from dsfactory.dataset.pictures import read_file
from dsfactory.dataset.split import ROOT, SPLIT
from dsfactory.errors import UserError
from dsfactory.stages.annotate.images import find_images
from dsfactory.stages.annotate.pictures import Picture as Listed
from dsfactory.stages.annotate.pictures import merge_pictures, read_pictures, write_pictures
from dsfactory.stages.defects.clean import read_clean, region_of
from dsfactory.stages.defects.config import DefectsConfig
from dsfactory.stages.defects.paint import Painted, Picture, paint

SCHEMA = pa.schema(
    [
        *SOURCE_COLUMNS,
        ("source", pa.string()),
        ("file_digest", pa.string()),
        ("seed", pa.int64()),
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image_seed", pa.int64()),
        (SPLIT, pa.string()),
        (ROOT, pa.string()),
        ("shape", pa.string()),
        ("region", pa.string()),
        ("strength", pa.float32()),
        ("bits", pa.int32()),
        ("area", pa.list_(pa.float32())),
        ("components", pa.list_(pa.int32())),
        ("void", pa.float32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
"""``classes`` is the kind that was to be painted; its ``area`` is 0 in a clean sample. ``root`` is the first sample of
the picture, whose side of the split all of them are on. ``region`` says where flaws may lie: object, all or mask."""

_WHOLE = MASKS | {IMAGE}


class DefectsStage(Stage):
    """Samples of clean pictures.

    Args:
        config: which flaws, and into what.
        classes: the run's: the kinds.
        seed: of the run.
        run_path: the run, whose ``pictures.json`` says which picture has which numbers.
    """

    name: ClassVar[str] = "defects"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.SOURCE
    Config: ClassVar[type[Section]] = DefectsConfig
    writes: ClassVar[Output] = Output((Role.IMAGE, Role.LABEL), SCHEMA, {"ok": _WHOLE}, bytes_per_pixel=1.9)
    then: ClassVar[tuple[str, ...]] = ("export",)
    generates: ClassVar[bool] = False
    taints: ClassVar[bool] = True
    """The pictures may change under one fingerprint."""
    meanings: ClassVar[Mapping[str, str]] = {"strength": "How much of the picture the flaw replaces; 0 in a clean one."}

    def __init__(self, config: DefectsConfig, classes: Sequence[ClassSpec], seed: int, run_path: Path) -> None:
        self._config, self._classes, self._seed, self._run_path = config, tuple(classes), seed, run_path

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(DefectsConfig), settings.classes, settings.seed, run)

    @classmethod
    def found_classes(cls, settings: RunSettings) -> tuple[ClassSpec, ...]:
        """The kinds."""
        kinds = settings.of(DefectsConfig).kinds
        if not kinds:
            raise UserError("say which flaws are to be painted: --kinds scratch,stain,crack,dent")
        return tuple(ClassSpec(name=kind.strip()) for kind in kinds)

    @classmethod
    def media_of(cls, row: Mapping[str, Any]) -> Media:
        """No model has a hand in it: a flaw is made of noise or of another picture."""
        return "compositeCapture" if any(row["area"] or ()) else ""

    @classmethod
    def run_name(cls, settings: RunSettings) -> str:
        return f"{slug(Path(settings.of(DefectsConfig).clean or '').stem) or 'pictures'}-defects"

    def in_run(self, run: Path) -> "DefectsStage":
        return DefectsStage(self._config, self._classes, self._seed, run)

    @property
    def _clean(self) -> Path:
        if not self._config.clean:
            raise UserError("defects paints into clean pictures: name their folder, as in 'dsfactory defects DIR'")
        return Path(self._config.clean)

    @cached_property
    def _root(self) -> Path:
        return self._clean if self._clean.is_dir() else self._clean.parent

    @cached_property
    def _found(self) -> list[Listed]:
        return [Listed(name=name) for name in find_images(self._clean, self._run_path)]

    def check(self, run: Run | None, redo: bool) -> list[str]:
        """Make sure that there is a picture that flaws can be painted into."""
        kinds = [kind.strip() for kind in self._config.kinds]
        if kinds and kinds != [item.name for item in self._classes]:
            names = ", ".join(item.name for item in self._classes)
            raise UserError(f"--kinds {','.join(kinds)}: the run has the classes {names}: name another --out")
        where = self._config.where
        if where not in ("auto", "all") and not Path(where).is_dir():
            raise UserError(f"--where {where}: use auto, all, or a folder with a mask for each picture")
        if run is not None and run.has_finished(self.folder):
            return []
        fault = ""
        for picture in self._found[:1000]:
            try:
                data = read_file(self._root / picture.name)
                _, region = region_of(read_clean(data), where, picture.name)
            except ValueError as error:
                fault = fault or f"{picture.name}: {error}"
                continue
            if where == "auto" and region == "all":
                return [
                    f"no object stands out in {picture.name}: flaws may lie anywhere there (--where DIR says where)"
                ]
            return []
        raise UserError(f"none of the {len(self._found)} pictures can be used ({fault})")

    def wanted(self, run: Run | None) -> dict[str, int]:
        return {"": self._config.per * len(self._merged)}

    @cached_property
    def _merged(self) -> tuple[Listed, ...]:
        return merge_pictures(read_pictures(self._run_path), self._found, redo=True)

    def begin(self, run: Run) -> None:
        write_pictures(self._run_path, self._merged)

    def identity(self) -> dict[str, Any]:
        """Everything but the pictures, whose content the rows tell apart."""
        return {
            "defects": self._config.identity(),
            "classes": [item.model_dump(mode="json") for item in self._classes],
            "seed": self._seed,
        }

    def load(self) -> None:
        self._pictures = read_pictures(self._run_path)
        self._read = lru_cache(maxsize=8)(self._open)

    def __getstate__(self) -> dict[str, Any]:
        own = ("_config", "_classes", "_seed", "_run_path", "inputs")
        return {name: value for name, value in self.__dict__.items() if name in own}

    def _open(self, name: str) -> tuple[Picture, str]:
        data = read_file(self._root / name)
        return read_clean(data), hashlib.sha256(data).hexdigest()[:32]

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for number in range(shard.start, shard.stop):
            yield self._record(number)

    def _record(self, number: int) -> Record:
        place = number // self._config.per
        listed = self._pictures[place]
        kind = self._classes[number % len(self._classes)].name
        row = self._row(number, place, listed.name, kind)
        try:
            clean, row["file_digest"] = self._read(listed.name)
            inside, row["region"] = region_of(clean, self._config.where, listed.name)
        except ValueError as error:
            return Record(row["key"], {**row, "status": "failed", "reason": str(error)})
        rng = np.random.default_rng(row["seed"])
        painted = Painted(clean, np.zeros(inside.shape, np.uint8), 0.0)
        if rng.random() >= self._config.clean_share:
            painted = paint(clean, kind, inside, self._config, rng, self._other(place, rng))
        return self._finished(row, painted, number % len(self._classes) + 1)

    def _other(self, place: int, rng: np.random.Generator) -> Picture | None:
        """Another picture; None where it cannot be read."""
        if self._config.source != "texture" or len(self._pictures) < 2:
            return None
        other = self._pictures[(place + int(rng.integers(1, len(self._pictures)))) % len(self._pictures)]
        try:
            return self._read(other.name)[0]
        except ValueError:
            return None

    def _row(self, number: int, place: int, name: str, kind: str) -> dict[str, Any]:
        seed = derive_seed(self._seed, "defects", number)
        return {
            **dict.fromkeys(SCHEMA.names),
            "key": sample_key(number),
            "number": number,
            "class_name": kind,
            "classes": [kind],
            "index": number,
            "source": name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
            "seed": seed,
            "model": f"defects ({self._config.source})",
            "width": 0,
            "height": 0,
            "image_seed": seed,
            SPLIT: "",
            ROOT: sample_key(place * self._config.per),
            "shape": self._config.shape_of(kind),
        }

    def _finished(self, row: dict[str, Any], painted: Painted, label: int) -> Record:
        """A sample with the columns that follow from its mask, and its files."""
        flaw = painted.mask == 1
        count, parts = cv2.connectedComponents(flaw.astype(np.uint8), connectivity=8)
        mask = np.where(flaw, label, painted.mask).astype(np.uint8)
        instances = np.where(flaw, np.minimum(parts, VOID - 1), painted.mask).astype(np.uint8)
        pixels = painted.picture
        columns = {
            "width": mask.shape[1],
            "height": mask.shape[0],
            "strength": painted.strength,
            "bits": 8 * pixels.dtype.itemsize,
            "area": [float(flaw.mean())],
            "components": [min(count - 1, VOID - 1)],
            "void": float(np.mean(mask == VOID)),
            "status": "ok",
            "reason": "" if flaw.any() else "clean",
        }
        image = encode_grey_png(pixels) if pixels.ndim == 2 else encode_rgb_png(pixels.astype(np.uint8))
        files = {IMAGE: image, MASK: encode_index_png(mask), INSTANCES: encode_index_png(instances)}
        return Record(row["key"], {**row, **columns}, files)

    def conclude(self, run: Run) -> Conclusion:
        """How many have which flaw, and which pictures could not be used."""
        shown: Counter[str] = Counter()
        failed: dict[str, str] = {}
        for spec in run.finished(self.folder):
            for row in run.reader(self.folder, spec).rows:
                if row["status"] == "failed":
                    failed.setdefault(row["source"], row["reason"])
                else:
                    shown[row["class_name"] if row["area"][0] else "clean"] += 1
        lines = [", ".join(f"{name} {count}" for name, count in sorted(shown.items()))]
        notes = [f"{name} cannot be used: {why}" for name, why in list(failed.items())[:20]]
        return Conclusion(tuple(lines), {"flaws": dict(shown), "unusable": failed}, tuple(notes))
