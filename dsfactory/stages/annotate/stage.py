"""The generate stage of a run whose pictures are given: each is read, not drawn, and kept with its evidence."""

import hashlib
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsfactory.core.classes import ClassSpec, slug
from dsfactory.core.config import RunSettings
from dsfactory.core.png import encode_rgb_png
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import EVIDENCE, IMAGE, SHOWS_NONE, Record, sample_key
from dsfactory.core.section import Section
from dsfactory.core.seeds import derive_seed
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Conclusion, Download, Kind, Machines, Output, Stage
from dsfactory.dataset.own_files import DISTANCE, FILE_HEIGHT, FILE_SHA256, FILE_WIDTH, FOREIGN
from dsfactory.dataset.pictures import look_at, read_file
from dsfactory.errors import UserError
from dsfactory.models.locate import Model
from dsfactory.models.presets import PRESETS
from dsfactory.stages.annotate.config import AnnotateConfig
from dsfactory.stages.annotate.failures import FAILURES, Failed, list_failures
from dsfactory.stages.annotate.finding import check_any, find_pictures
from dsfactory.stages.annotate.pictures import Picture, merge_pictures, read_pictures, write_pictures
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.model import missing_model
from dsfactory.stages.generate.recipes import Recipe
from dsfactory.stages.generate.stage import GenerateStage, oblong_grids, reads_pictures, settled_dtype

if TYPE_CHECKING:
    from dsfactory.embed.network import Features
    from dsfactory.stages.annotate.annotator import Annotator
    from dsfactory.stages.annotate.domain import Reference
    from dsfactory.stages.annotate.presence import Judge

FAMILIES = ("sd", "sdxl")
"""Whose UNets are read; see :data:`dsfactory.models.families.FAMILIES`."""

WRITERS = 2
"""Threads that compress pictures while the next one is looked at."""

OWN = pa.schema(
    [(FILE_SHA256, pa.string()), (FILE_WIDTH, pa.int32()), (FILE_HEIGHT, pa.int32()), (DISTANCE, pa.float32())]
)
"""Columns beyond those of generate: what the file was, and how far the picture lies from what the model draws."""


class AnnotateStage(Stage):
    """Keep given pictures with what the model's attention sees in them.

    Its shards stand in the folder of ``generate`` and look the same to what follows. The column ``source`` holds the
    picture's name, ``prompt`` what the model was told, ``classes`` those found, the surest first. A picture that cannot
    be read is a failed sample. One that shows none of the classes keeps the likeliest, with evidence of zeros, so that
    it gets no mask.

    Args:
        config: which pictures, and how their noisy versions are read.
        generate: the model and the size at which it works.
        classes: the run's classes.
        seed: the run's seed; with a picture's content it decides its noise.
        run_path: the run, whose ``pictures.json`` says which picture has which number.
    """

    name: ClassVar[str] = "annotate"
    folder: ClassVar[str] = GenerateStage.folder
    version: ClassVar[int] = 3
    """3: classes are judged by presence.py."""
    kind: ClassVar[Kind] = Kind.SOURCE
    Config: ClassVar[type[Section]] = AnnotateConfig
    writes: ClassVar[Output] = replace(
        GenerateStage.writes,
        schema=pa.unify_schemas([GenerateStage.writes.schema, OWN]),
        added=frozenset(OWN.names) | GenerateStage.writes.added,
        extra=frozenset(),
    )
    artifacts: ClassVar[tuple[str, ...]] = (FAILURES,)
    given: ClassVar[bool] = True
    then: ClassVar[tuple[str, ...]] = ("refine", "export")
    taints: ClassVar[bool] = True
    """Masks do not know which classes a picture is said to show."""

    def __init__(
        self,
        config: AnnotateConfig,
        generate: GenerateConfig,
        classes: Sequence[ClassSpec],
        seed: int,
        run_path: Path,
    ) -> None:
        self._config = config
        self._generate = generate
        self._drawing = GenerateStage(generate, classes)
        self._classes = {spec.name: spec for spec in classes}
        self._seed = seed
        self._run_path = run_path
        self._annotator: Annotator | None = None
        self._reference: Reference | None = None
        self._features: Features

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(AnnotateConfig), settings.of(GenerateConfig), settings.classes, settings.seed, run)

    @classmethod
    def made(cls, state: StageState) -> bool:
        return super().made(state) and reads_pictures(state)

    @classmethod
    def missing(cls, settings: RunSettings) -> Download | None:
        return missing_model(settings.of(GenerateConfig))

    @classmethod
    def run_name(cls, settings: RunSettings) -> str:
        images = settings.of(AnnotateConfig).images
        return f"{slug(Path(images or '').stem) or 'pictures'}-{slug(settings.of(GenerateConfig).model)}"

    def settled(self, state: StageState | None, machines: Machines) -> "AnnotateStage":
        return self._with(settled_dtype(self._generate, state, machines))

    def check(self, run: Run | None, redo: bool) -> list[str]:
        """Make sure that there is something to label before anything is written."""
        self._merged(redo)
        note = self._looked_for[1]
        if run is not None:
            return [note] if note and run.has_finished(self.folder) else []  # else it was said before the run was begun
        check_any(self._images, self._found)
        preset = PRESETS.get(self._generate.model)
        if preset is None or not preset.classes:
            return [note] if note else []
        known = f"{preset.name} knows stickers of {', '.join(preset.classes)}, and no photographs: --model sd15 does"
        return [known, *([note] if note else [])]

    def wanted(self, run: Run | None) -> dict[str, int]:
        return {"": len(self._merged(redo=True))}

    def begin(self, run: Run) -> None:
        write_pictures(self._run_path, self._merged(redo=True))

    @cached_property
    def _images(self) -> Path:
        if not self._config.images:
            raise UserError("annotate labels the pictures of a folder: name it, as in 'dsfactory annotate PICTURES'")
        return Path(self._config.images)

    @cached_property
    def _looked_for(self) -> tuple[list[Picture], str]:
        return find_pictures(self._images, self._run_path, self._config.image_classes, tuple(self._classes.values()))

    @property
    def _found(self) -> list[Picture]:
        return self._looked_for[0]

    def _merged(self, redo: bool) -> tuple[Picture, ...]:
        return merge_pictures(read_pictures(self._run_path), self._found, redo)

    @property
    def model(self) -> Model:
        """The model on this machine; see :attr:`dsfactory.stages.generate.stage.GenerateStage.model`."""
        return self._drawing.model

    def identity(self) -> dict[str, Any]:
        """Everything but the pictures' content, which a row's seed stands for.

        Raises:
            UserError: the model's family cannot be read this way.
        """
        if self.model.layout.family not in FAMILIES:
            raise UserError(
                f"annotate cannot look through {self.model.name}: use a Stable Diffusion 1, 2 or XL model, such as sd15"
            )
        drawing = self._drawing.identity()
        # The longest picture is four times as long as high, and has the area of what the model draws.
        longest = 2 * math.sqrt(drawing["width"] * drawing["height"])
        return {
            "annotate": self._config.identity(),
            "classes": [spec.model_dump(mode="json") for spec in self._classes.values()],
            "seed": self._seed,
            **{name: drawing[name] for name in ("model", "width", "height", "dtype", "affinity")},
            **{name: drawing[name] for name in ("lora", "embedding", "recipe") if name in drawing},
            **oblong_grids(self.model.layout.family, longest),
        }

    def on_device(self, device: str) -> "AnnotateStage":
        return self._with(self._drawing.resolved.model_copy(update={"device": device}))

    def in_run(self, run: Path) -> "AnnotateStage":
        return AnnotateStage(self._config, self._generate, tuple(self._classes.values()), self._seed, run)

    def _with(self, generate: GenerateConfig) -> "AnnotateStage":
        return AnnotateStage(self._config, generate, tuple(self._classes.values()), self._seed, self._run_path)

    def load(self) -> None:
        from dsfactory.embed.network import Features
        from dsfactory.models.loading import load_pipeline
        from dsfactory.stages.annotate.annotator import Annotator
        from dsfactory.stages.annotate.domain import Reference

        settings = self._drawing.resolved
        assert settings.width and settings.height
        self._reference, self._features = Reference.read(self.model.name), Features()
        self._annotator = Annotator(
            load_pipeline(
                self.model,
                settings.device,
                settings.dtype,
                loras=self._drawing.loras,
                embeddings=self._drawing.embeddings,
            ),
            timesteps=self._config.timesteps,
            seeds=self._config.seeds,
            width=settings.width,
            height=settings.height,
            prompt=self._config.prompt,
            plain_prompt=self._config.plain_prompt,
            affinity=settings.affinity,
            recipe=Recipe.parse(settings.recipe),
        )

    @cached_property
    def _judge(self) -> "Judge":
        """Only pictures whose classes nobody says need one."""
        from dsfactory.stages.annotate.presence import Judge

        assert self._annotator is not None
        return Judge(self._annotator, tuple(self._classes.values()))

    @cached_property
    def _pictures(self) -> tuple[Picture, ...]:
        return read_pictures(self._run_path)

    @cached_property
    def _root(self) -> Path:
        return self._images if self._images.is_dir() else self._images.parent

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        assert self._annotator is not None
        # Sets of classes are many, and so are their prompts; and what came before this shard must not decide in which
        # batch a prompt is encoded.
        self._annotator.forget()
        with ThreadPoolExecutor(WRITERS) as pool:
            waiting: deque[Future[Record]] = deque()
            for number in range(shard.start, shard.stop):
                waiting.append(self._look_at(number, pool))
                while waiting and (waiting[0].done() or len(waiting) > WRITERS):
                    yield waiting.popleft().result()
            for record in waiting:
                yield record.result()

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        return GenerateStage.check_record(record, classes)

    def files(self) -> Mapping[str, Path]:
        return {sample_key(number): self._root / picture.name for number, picture in enumerate(self._pictures)}

    def conclude(self, run: Run) -> Conclusion:
        """List the pictures that could not be used."""
        return list_failures(run, self.folder, self.model.name)

    @classmethod
    def describe_rows(cls, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """How many pictures have which status; then those that could not be used, by name."""
        failed = Failed()
        return [*super().describe_rows(failed.passing(rows)), *failed.lines()]

    def _look_at(self, number: int, pool: ThreadPoolExecutor) -> Future[Record]:
        picture = self._pictures[number]
        row = self._row(number, picture)
        try:
            data = read_file(self._root / picture.name)
            row[FILE_SHA256] = hashlib.sha256(data).hexdigest()
            looked = look_at(data)
            row |= {FILE_WIDTH: looked.width, FILE_HEIGHT: looked.height}
            image = looked.pixels
            row[DISTANCE] = self._distance(image)
            evidence, columns = self._annotate(image, picture, self._is_foreign(row[DISTANCE]))
        except ValueError as error:
            return pool.submit(Record, row["key"], {**row, "status": "failed", "reason": str(error)})
        return pool.submit(_record, {**row, **columns}, image, evidence)

    def _row(self, number: int, picture: Picture) -> dict[str, Any]:
        """The columns of a picture that could not be read: it was to be searched for all of its classes."""
        wanted = list(picture.classes or self._classes)
        return {
            "key": sample_key(number),
            "number": number,
            "class_name": wanted[0],
            "classes": wanted,
            "index": number,
            "prompt": "",
            "source": printable_name(picture.name),
            "seed": 0,
            "model": self.model.name,
            "width": 0,
            "height": 0,
            "image_seed": 0,
            "attempts": 1,
            "queried": ["caption"] * len(wanted),
            FILE_SHA256: "",
            FILE_WIDTH: 0,
            FILE_HEIGHT: 0,
            DISTANCE: None,
        }

    def _distance(self, image: NDArray[np.uint8]) -> float | None:
        """How far a picture lies from what the model draws; None for a model that knows the world."""
        return self._reference.distance(self._features(image)) if self._reference is not None else None

    def _is_foreign(self, distance: float | None) -> bool:
        limit = self._config.max_distance
        return distance is not None and limit is not None and distance > limit

    def _annotate(self, image: NDArray[np.uint8], picture: Picture, foreign: bool) -> tuple[Evidence, dict[str, Any]]:
        """The evidence of the classes that are in a picture, and the columns that say which.

        Raises:
            ValueError: the model's numbers are none.
            UserError: the picture does not fit into memory.
        """
        import torch

        assert self._annotator is not None
        seed = derive_seed(self._seed, "annotate", hashlib.sha256(image.tobytes()).hexdigest())
        try:
            every = list(self._classes.values())
            found, likeliest = ([], every[0]) if foreign else self._choose(image, seed, picture)
            evidence = self._annotator.evidence(self._annotator.noisy(image, seed), found or [likeliest])
        except torch.OutOfMemoryError as error:
            raise UserError("out of memory looking at one picture: use fewer --seeds, or a smaller --model") from error
        if not all(np.isfinite(maps).all() for maps in evidence.cross.values()):
            raise ValueError("the model's attention has values that are not numbers")
        if not found:
            evidence = _without_content(evidence)
        names = [spec.name for spec in found or [likeliest]]
        return evidence, {
            "class_name": names[0],
            "classes": names,
            "prompt": self._annotator.text(found or [likeliest]),
            "seed": seed,
            "width": image.shape[1],
            "height": image.shape[0],
            "image_seed": seed,
            "queried": ["caption"] * len(names),
            "status": "ok",
            "reason": FOREIGN if foreign else "" if found else f"{SHOWS_NONE} {', '.join(self._classes)}",
        }

    def _choose(self, image: NDArray[np.uint8], seed: int, picture: Picture) -> tuple[list[ClassSpec], ClassSpec]:
        """The classes that a picture shows, the surest first, and the one that it shows if any."""
        every = list(self._classes.values())
        if picture.classes is not None:
            said = [self._classes[name] for name in picture.classes]
            return said, (said or every)[0]
        if self._config.min_presence is None:
            return every, every[0]
        presence = self._judge.presence(image, seed)
        if not np.isfinite(presence).all():
            raise ValueError("the model's prediction has values that are not numbers")
        order = [int(place) for place in np.argsort(-presence, kind="stable")]
        return [every[place] for place in order if presence[place] >= self._config.min_presence], every[order[0]]


def _record(row: dict[str, Any], image: NDArray[np.uint8], evidence: Evidence) -> Record:
    return Record(row["key"], row, {IMAGE: encode_rgb_png(image), EVIDENCE: evidence.to_bytes()})


def _without_content(evidence: Evidence) -> Evidence:
    return Evidence(
        cross={grid: np.zeros_like(maps) for grid, maps in evidence.cross.items()},
        affinity={grid: np.zeros_like(maps) for grid, maps in evidence.affinity.items()},
        edges=evidence.edges,
    )


def printable_name(name: str) -> str:
    """A file name as text: bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
