"""The adopt stage: labelled images of somebody else's become samples, each with its labels."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from dsfactory.core.classes import ClassSpec, slug
from dsfactory.core.config import RunSettings
from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.run import Run, is_run
from dsfactory.core.sample import BACKGROUND, IMAGE, INSTANCES, MASK, MASKS, SHOWS_NONE, VOID, Media, Record, sample_key
from dsfactory.core.section import Section
from dsfactory.core.shard import SOURCE_COLUMNS, ShardReader, ShardSpec
from dsfactory.core.stage import Conclusion, Kind, Output, Role, Stage
from dsfactory.dataset.own_files import FILE_HEIGHT, FILE_SHA256, FILE_WIDTH, nearest
from dsfactory.dataset.pictures import look_at, turned
from dsfactory.dataset.split import ORIGIN, REAL, ROOT, SPLIT, SYNTHETIC
from dsfactory.errors import UserError
from dsfactory.formats.labelled import Item, LabelledSet, find_kind, set_kind
from dsfactory.formats.reading.labels import finished
from dsfactory.stages.adopt.config import AdoptConfig
from dsfactory.stages.adopt.listing import Listing, Told, merged, read_listing
from dsfactory.stages.adopt.naming import Called, call_labels
from dsfactory.stages.adopt.runs import RunSet
from dsfactory.stages.annotate.failures import FAILURES, Failed, list_failures
from dsfactory.stages.prompts.config import DOMAIN

SCHEMA = pa.schema(
    [
        *SOURCE_COLUMNS,
        ("prompt", pa.string()),
        (DOMAIN, pa.string()),
        ("source", pa.string()),
        ("seed", pa.int64()),
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image_seed", pa.int64()),
        (FILE_SHA256, pa.string()),
        (FILE_WIDTH, pa.int32()),
        (FILE_HEIGHT, pa.int32()),
        (ORIGIN, pa.string()),
        (SPLIT, pa.string()),
        (ROOT, pa.string()),
        ("source_run", pa.string()),
        ("source_key", pa.string()),
        ("area", pa.list_(pa.float32())),
        ("components", pa.list_(pa.int32())),
        ("void", pa.float32()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
"""``class_name`` is the class with the largest share of the image, and ``classes`` are in that order. ``source`` is
what the set calls the image; its file's columns are null where the set holds the image itself. See
:mod:`dsfactory.dataset.split` for the rest."""

_WHOLE = MASKS | {IMAGE}


class AdoptStage(Stage):
    """Take over labelled images: from sets of others, and from other runs.

    An image keeps its size, its file, the side of the split that it was on, and the mark whether it is real or was made
    by a model. One that shows none of the classes is rejected, and can be exported as a negative; one that cannot be
    used has failed.

    Args:
        config: what is taken over.
        classes: the run's classes.
        run_path: the run, whose ``adopted.parquet`` says which image has which number.
    """

    name: ClassVar[str] = "adopt"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.SOURCE
    Config: ClassVar[type[Section]] = AdoptConfig
    writes: ClassVar[Output] = Output(
        (Role.IMAGE, Role.LABEL), SCHEMA, {"ok": _WHOLE, "rejected": _WHOLE}, bytes_per_pixel=1.9
    )
    artifacts: ClassVar[tuple[str, ...]] = (FAILURES,)
    given: ClassVar[bool] = True
    taints: ClassVar[bool] = True
    """The sources may change under one fingerprint."""

    def __init__(self, config: AdoptConfig, classes: Sequence[ClassSpec], run_path: Path) -> None:
        self._config, self._classes, self._run_path = config, tuple(classes), run_path

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(AdoptConfig), settings.classes, run)

    @classmethod
    def found_classes(cls, settings: RunSettings) -> tuple[ClassSpec, ...]:
        """A class for every label of the sources."""
        stage = cls(settings.of(AdoptConfig), (), Path())
        return stage._called.classes

    @classmethod
    def media_of(cls, row: Mapping[str, Any]) -> Media:
        return "trainedAlgorithmicMedia" if row[ORIGIN] == SYNTHETIC else ""

    @classmethod
    def run_name(cls, settings: RunSettings) -> str:
        sources = settings.of(AdoptConfig).sources
        return f"{slug(Path(sources[0]).stem) if sources else 'sets'}-adopted"

    def in_run(self, run: Path) -> "AdoptStage":
        return AdoptStage(self._config, self._classes, run)

    def check(self, run: Run | None, redo: bool) -> list[str]:
        """Make sure that there is something to adopt, and say what becomes of labels without a class."""
        listing, called = self._merged(redo), self._called
        notes = []
        if called.unknown:
            names = ", ".join(called.unknown[:20]) + (" …" if len(called.unknown) > 20 else "")
            notes.append(f"labels without a class here count as background: {names} (--map OLD=NEW gives them one)")
        if run is not None and run.has_finished(self.folder):
            return notes
        fault = ""
        for place, item in islice(listing.items(), 1000):
            try:
                self._look(place, item)
                return notes
            except ValueError as error:
                fault = fault or f"{item.name}: {error}"
        raise UserError(f"none of the {len(listing)} images can be adopted ({fault})")

    def wanted(self, run: Run | None) -> dict[str, int]:
        return {"": len(self._merged(redo=True))}

    def begin(self, run: Run) -> None:
        self._merged(redo=True).write(self._run_path)

    def identity(self) -> dict[str, Any]:
        """Everything but the sources' content, which the rows of the shards tell apart."""
        return {"adopt": self._config.identity(), "classes": [spec.model_dump(mode="json") for spec in self._classes]}

    @cached_property
    def _told(self) -> tuple[Told, ...]:
        """The sources, with what reading them takes."""
        if not self._config.sources:
            raise UserError("adopt takes labelled sets or runs: name them, as in 'dsfactory adopt FOLDER --out RUN'")
        out = os.path.realpath(self._run_path)
        found = []
        for source in map(Path, dict.fromkeys(self._config.sources)):
            place = os.path.realpath(source)
            if self._run_path != Path() and (place == out or place.startswith(f"{out}{os.sep}")):
                raise UserError(f"{source} is the run itself, or lies in it: name another --out")
            if not source.exists():
                raise UserError(f"{source} is not there: name a folder with a labelled set, or a run")
            kind = "run" if is_run(source) else find_kind(source)
            found.append(Told(kind, str(source), _kind(kind)(source).facts))
        return tuple(found)

    @cached_property
    def _called(self) -> Called:
        nameless = [told.root for told in self._told if told.facts["names"] is None]
        if nameless and not self._classes:
            raise UserError(
                f"{nameless[0]} does not name its labels: say them with --classes, in the order of their ids from 1 "
                "(one class alone for masks of two values)"
            )
        own = [spec.name for spec in self._classes]
        names = [(told.root, own if told.facts["names"] is None else told.facts["names"]) for told in self._told]
        return call_labels(names, self._config.renamed, self._classes)

    @cached_property
    def _looked_for(self) -> Listing:
        found = ((place, item) for place, source in enumerate(self._sets) for item in source.items())
        return Listing.of(self._told, found)

    def _merged(self, redo: bool) -> Listing:
        found = merged(read_listing(self._run_path), self._looked_for, redo)
        if not len(found):
            raise UserError(f"there is no image in {', '.join(self._config.sources)}")
        return found

    def load(self) -> None:
        """Open the sources as the run's list has them: nothing is searched again."""
        listing = read_listing(self._run_path)
        assert listing is not None
        self._listing, self._told = listing, listing.sources

    @cached_property
    def _sets(self) -> tuple[LabelledSet, ...]:
        return tuple(_kind(told.kind)(Path(told.root), told.facts) for told in self._told)

    def __getstate__(self) -> dict[str, Any]:
        """Every process opens the sources by itself."""
        own = ("_config", "_classes", "_run_path", "inputs")
        return {name: value for name, value in self.__dict__.items() if name in own}

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        for number in range(shard.start, shard.stop):
            yield self._record(number, *self._listing.item(number))

    def _record(self, number: int, place: int, item: Item) -> Record:
        row = self._row(number, item)
        try:
            columns, files = self._look(place, item)
        except ValueError as error:
            return Record(row["key"], {**row, "status": "failed", "reason": str(error)})
        return Record(row["key"], {**row, **columns}, files)

    def _row(self, number: int, item: Item) -> dict[str, Any]:
        """The columns of an image that cannot be used."""
        names = [spec.name for spec in self._classes]
        return {
            **dict.fromkeys(SCHEMA.names),
            "key": sample_key(number),
            "number": number,
            "class_name": names[0],
            "classes": names[:1],
            "index": number,
            "prompt": "",
            "source": item.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
            "seed": 0,
            "model": "",
            "width": 0,
            "height": 0,
            FILE_SHA256: "" if item.image else None,
            FILE_WIDTH: 0,
            FILE_HEIGHT: 0,
            ORIGIN: SYNTHETIC if item.synthetic else REAL,
            SPLIT: "" if self._config.resplit else item.split,
            ROOT: item.root,
        }

    def _look(self, place: int, item: Item) -> tuple[dict[str, Any], dict[str, bytes]]:
        """An image's columns and files.

        Raises:
            ValueError: it cannot be used; says why in a few words.
        """
        if item.fault:
            raise ValueError(item.fault)
        source = self._sets[place]
        data = source.picture(item)
        looked = look_at(data)
        shape = looked.height, looked.width
        mask, instances = finished(source.labels(item, shape, self._called.ids[place]), None)
        if mask.shape != shape:
            mask, instances = (turned(data, part) for part in (mask, instances))
        if mask.shape != shape:
            sizes = f"{mask.shape[1]} × {mask.shape[0]} pixels, the image {looked.width} × {looked.height}"
            raise ValueError(f"its labels have {sizes}")
        height, width = looked.pixels.shape[:2]
        if mask.shape != (height, width):
            mask, instances = (nearest(part, (height, width)) for part in (mask, instances))
        digest = {FILE_SHA256: hashlib.sha256(data).hexdigest()} if item.image else {}
        own = {name: value for name, value in source.columns(item).items() if value is not None}
        files = {
            IMAGE: encode_rgb_png(looked.pixels), MASK: encode_index_png(mask), INSTANCES: encode_index_png(instances),
        }  # fmt: skip
        size = {"width": width, "height": height, FILE_WIDTH: looked.width, FILE_HEIGHT: looked.height}
        return {**own, **digest, **size, **self._shown(mask, instances)}, files

    def _shown(self, mask: Any, instances: Any) -> dict[str, Any]:
        """The columns that follow from the labels; the class with the largest share comes first."""
        pixels = np.bincount(mask.ravel(), minlength=256)
        pixels[[BACKGROUND, VOID]] = 0
        ids = [int(number) for number in np.argsort(-pixels, kind="stable") if pixels[number]]
        names = [spec.name for spec in self._classes]
        shown = [names[number - 1] for number in ids]
        nothing = f"{SHOWS_NONE} {', '.join(names)}"
        return {
            "class_name": (shown or names)[0],
            "classes": shown or names[:1],
            "area": [pixels[number] / mask.size for number in ids] or [0.0],
            "components": [len(np.unique(instances[mask == number])) for number in ids] or [0],
            "void": float(np.mean(mask == VOID)),
            "status": "ok" if ids else "rejected",
            "reason": "" if ids else nothing,
        }

    def files(self) -> Mapping[str, Path]:
        listing = read_listing(self._run_path)
        found = enumerate(listing.items()) if listing is not None else ()
        return {sample_key(number): Path(item.image) for number, (_, item) in found if item.image}

    def conclude(self, run: Run) -> Conclusion:
        """List the images that could not be used."""
        return list_failures(run, self.folder, self.name, ("failed",))

    @classmethod
    def describe_rows(cls, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """How many images have which status; then those that could not be used, by name."""
        failed = Failed()
        return [*super().describe_rows(failed.passing(rows)), *failed.lines()]


def _kind(name: str) -> type[LabelledSet]:
    return RunSet if name == "run" else set_kind(name)
