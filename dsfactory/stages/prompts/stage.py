"""The prompts stage: a prompt, its source and a seed for every sample of the run."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa

from dsfactory.core.classes import ClassSpec, slug
from dsfactory.core.config import RunSettings
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import LAYOUTS, Record, SampleId
from dsfactory.core.section import Section
from dsfactory.core.shard import SOURCE_COLUMNS, ShardReader, ShardSpec
from dsfactory.core.stage import Download, Kind, Machines, Output, Reporter, Role, Stage
from dsfactory.errors import UserError
from dsfactory.models.adapters import lora_triggers
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.model import missing_model
from dsfactory.stages.prompts.config import ATTRIBUTES, DOMAIN, PromptsConfig
from dsfactory.stages.prompts.corpus import Corpus
from dsfactory.stages.prompts.embeddings import Embeddings
from dsfactory.stages.prompts.encoder import Encoder, ModelEncoder
from dsfactory.stages.prompts.expand import TEMPLATES_FILE, Expander, Templates
from dsfactory.stages.prompts.mentions import split_words
from dsfactory.stages.prompts.pool import (
    FEWEST,
    Captions,
    choose,
    gather,
    load_pool,
    object_counts,
    rank,
    save_pool,
)
from dsfactory.stages.prompts.resources import data_file
from dsfactory.stages.prompts.steer import ATTRIBUTE_FILE, OTHERS, WORDING, Steering
from dsfactory.stages.prompts.vocabulary import CLASSES_FILE, EXCLUDED_FILE, STOP_FILE, class_words, stop_matcher

if TYPE_CHECKING:
    from dsfactory.stages.generate.layouts.source import Layouts

POOL = "pool.json"

_SCHEMA = pa.schema(
    [
        *SOURCE_COLUMNS,
        ("prompt", pa.string()),
        ("source", pa.string()),
        *((name, pa.string()) for name in ATTRIBUTES),
        (DOMAIN, pa.string()),
        ("seed", pa.int64()),
        ("layout", pa.string()),
    ]
)


def _find_layouts(
    drawing: GenerateConfig, classes: Sequence[ClassSpec], seed: int, run: Path, objects: Sequence[int]
) -> "Layouts":
    """See :func:`find_layouts`, whose libraries load slowly."""
    from dsfactory.stages.generate.layouts.source import find_layouts

    return find_layouts(drawing, classes, seed, run, objects)


class PromptsStage(Stage):
    """Give every sample its prompt.

    Args:
        config: the stage's settings.
        classes: the run's classes in label order.
        run_seed: seed of the run, from which the samples' seeds are derived.
        encoder: finds the text encoder that ranks captions; asked only for a fingerprint, or when a pool must be made.
        run: folder of the run, where the ranked captions are kept, so that a resumed run does not rank again; None
            keeps nothing.
        counts: how many prompts each class is to have; captions are ranked for so many. Without any, all captions are.
        triggers: gives the words that the model's LoRAs want behind every prompt.
        layouts: finds the layouts that images are drawn to; a prompt then names the classes of its layout. None for
            images that show their classes anywhere.

    Raises:
        UserError: the corpus, its column, a word list or the templates cannot be used, ``objects`` asks for more
            classes than there are, or a steered attribute names a class. Nothing has been written by then.
    """

    name: ClassVar[str] = "prompts"
    version: ClassVar[int] = 2
    kind: ClassVar[Kind] = Kind.SOURCE
    Config: ClassVar[type[Section]] = PromptsConfig
    writes: ClassVar[Output] = Output((Role.PROMPT,), _SCHEMA, added=frozenset({"layout", DOMAIN}), extra=LAYOUTS)
    artifacts: ClassVar[tuple[str, ...]] = ("pool.*",)
    inline: ClassVar[bool] = True

    def __init__(
        self,
        config: PromptsConfig,
        classes: Sequence[ClassSpec],
        run_seed: int,
        encoder: Encoder,
        run: Path | None,
        counts: Mapping[str, int],
        triggers: Callable[[], tuple[str, ...]] = tuple,
        layouts: "Callable[[Sequence[int]], Layouts] | None" = None,
    ) -> None:
        self._config = config
        self._specs = tuple(classes)
        self._classes = [class_words(spec) for spec in classes]
        self._run_seed = run_seed
        self._wanted = dict(counts)
        self._find_triggers, self._find_layouts = triggers, layouts
        self._encoder = encoder
        self._run = run
        self._pool_path = run / self.folder / POOL if run is not None else None
        self._counts = object_counts(config, len(classes))
        if not self._counts:
            raise UserError(
                f"objects {config.objects!r} asks for {config.object_range[0]} classes in an image: "
                f"the run has {len(classes)}"
            )
        self._objects = self._counts
        if layouts is not None:  # a caption names one class; of several there are templates
            self._counts, self._config = [1], config.model_copy(update={"objects": "1"})
        self._corpus = Corpus(config.corpus, config.column)
        self._corpus.check()
        stop_matcher(config.stop_words, self._classes)
        self._steering = Steering(config, self._classes, run_seed)
        self._expander = Expander(self._classes, Templates.read(config.templates), self._steering)

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        drawing = settings.of(GenerateConfig)
        return cls(
            settings.of(PromptsConfig), settings.classes, settings.seed,
            ModelEncoder(drawing.model, drawing.revision, drawing.device), run, settings.counts,
            partial(lora_triggers, drawing.lora),
            partial(_find_layouts, drawing, settings.classes, settings.seed, run) if drawing.layouts else None,
        )  # fmt: skip

    @classmethod
    def missing(cls, settings: RunSettings) -> Download | None:
        return missing_model(settings.of(GenerateConfig))

    @classmethod
    def run_name(cls, settings: RunSettings) -> str:
        return f"{super().run_name(settings)}-{slug(settings.of(GenerateConfig).model)}"

    def settled(self, state: StageState | None, machines: Machines) -> "PromptsStage":
        self._encoder = self._encoder.on_device(machines)
        pool = state.identity.get("pool") if state is not None else None
        if self._config.pool is None and isinstance(pool, int):  # what it was begun with before the number was open
            self._config = self._config.model_copy(update={"pool": pool})
        return self

    def identity(self) -> dict[str, Any]:
        """Settings, classes, seed, encoder, and the hashes of the corpus and of every word list."""
        return self._identity

    @cached_property
    def _identity(self) -> dict[str, Any]:
        # A file counts by its content: moving or renaming it changes nothing.
        settings = self._config.identity()
        settings["pool"] = "grows" if self._config.pool is None else self._config.pool
        for name in ("corpus", "stop_words", "templates", "domains", "domains_file"):
            del settings[name]
        steered = [name for name in ATTRIBUTES if name in self._steering]
        for name in ATTRIBUTES:
            if name not in steered:
                del settings[name]
        return {
            **settings,
            **({"triggers": list(self._triggers)} if self._triggers else {}),
            **({"layouts": self._layouts.identity} if self._layouts else {}),
            **({"attribute_words": _sha256(data_file(ATTRIBUTE_FILE))} if steered or self._steering.domains else {}),
            **({"distractors": list(self._steering.others)} if self._steering.others else {}),
            **({"domains": self._steering.domains.identity()} if self._steering.domains else {}),
            "column": self._corpus.column,
            "classes": [spec.model_dump(mode="json") for spec in self._specs],
            "seed": self._run_seed,
            "embedder": dict(self._encoder.identity()),
            "corpus": self._corpus.sha256(),
            "stop_words": _sha256(self._config.stop_words or data_file(STOP_FILE)),
            "templates": _sha256(self._config.templates or data_file(TEMPLATES_FILE)),
            "class_words": _sha256(data_file(CLASSES_FILE)),
            "excluded_phrases": _sha256(data_file(EXCLUDED_FILE)),
        }

    @cached_property
    def _triggers(self) -> tuple[str, ...]:
        return self._find_triggers()

    @cached_property
    def _layouts(self) -> "Layouts | None":
        return self._find_layouts(self._objects) if self._find_layouts else None

    def check(self, run: Run | None, redo: bool) -> list[str]:
        return self._layouts.notes if self._layouts and run is None else []

    def wanted(self, run: Run | None) -> dict[str, int]:
        return self._wanted

    def make_artifacts(self, run: Run, report: Reporter) -> None:
        """Rank the captions that are needed, if any shard is to be made."""
        if len(run.finished(self.folder)) < len(run.shards()):
            run.make_stage_folder(self.folder)
            self._rank(max(run.manifest.numbering.counts().values()), report)

    def load(self) -> None:
        """Read the pool, or make and save it: one pass over the corpus and one over the text encoder."""
        self._rank(max(self._wanted.values(), default=None))

    def _rank(self, images: int | None, report: Reporter | None = None) -> None:
        """Have captions for so many images per class; None for all that there are."""
        count = None if images is None else max(FEWEST, -(-images // len(self._counts)))
        captions = load_pool(self._pool_path, self._identity, count) if self._pool_path else None
        if captions is None:
            captions = {}
            if self._config.most:
                room = self._config.max_words - sum(len(split_words(text)) for text in self._triggers)
                config = self._config.model_copy(update={"max_words": room})
                findings = gather(config, self._corpus, self._classes, self._steering)
                identity = {"encoder": self._identity["embedder"], "corpus": self._identity["corpus"]}

                def embedder(total: int) -> Embeddings:
                    return Embeddings(self._encoder.load, identity, total, report)

                captions = rank(findings, self._config, self._classes, embedder, count)
            if self._pool_path:
                save_pool(self._pool_path, self._identity, captions)
        self._captions: Captions = captions

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        """One record per sample, without files."""
        return self.records_of(list(self._numbered.samples(shard)))

    @cached_property
    def _numbered(self) -> Run:
        assert self._run is not None, "records_of is for samples that no run has"
        return Run.open(self._run)

    def records_of(self, samples: Sequence[SampleId]) -> Iterator[Record]:
        """The records of any samples, whether a run has them or not."""
        images = 1 + max(sample.index for sample in samples)
        if not all(found.serves(-(-images // len(self._counts))) for found in self._captions.values()):
            self._rank(images)  # beyond the images that the settings ask for now
        positions = {item.name: position for position, item in enumerate(self._classes)}
        for sample in samples:
            name, index = sample.cell, sample.index
            wishes = self._steering.draw(name, index)
            layout = self._layouts.of(name, index) if self._layouts else None
            shown = [positions[other] for other in layout.classes if other != name] if layout else []
            if shown:
                prompt = self._expander.naming(positions[name], shown, index)
                prompt = replace(prompt, text=self._steering.fill(prompt.text, wishes))
            else:
                prompt = choose(
                    self._captions, self._expander, self._counts, positions[name], index, self._steering, wishes
                )
            row = {
                "key": sample.key,
                "number": sample.number,
                "class_name": name,
                "classes": list(prompt.classes),
                "index": index,
                "prompt": ", ".join([prompt.text, *self._triggers]),
                "source": prompt.source,
                **{one: value for one, value in wishes.items() if one not in (WORDING, OTHERS)},
                "seed": sample.seed,
                **({"layout": layout.name} if layout else {}),
            }
            yield Record(sample.key, row, layout.files if layout else {})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
