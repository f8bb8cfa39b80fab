"""The generate stage: prompts in, images with attention evidence out."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa

from dsfactory.core.classes import ClassSpec
from dsfactory.core.config import RunSettings
from dsfactory.core.png import encode_rgb_png
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import EVIDENCE, IMAGE, LAYOUTS, Record
from dsfactory.core.section import Section
from dsfactory.core.shard import SOURCE_COLUMNS, ShardReader, ShardSpec
from dsfactory.core.stage import Download, Kind, Machines, Output, Role, Stage
from dsfactory.errors import DamagedShard, UserError
from dsfactory.models.adapters import Adapter, find_embeddings, find_loras
from dsfactory.models.controlnet import controlnet_digest, locate_controlnet
from dsfactory.models.families import FAMILIES, text_tokens
from dsfactory.models.folder import read_config
from dsfactory.models.locate import Model, locate_model
from dsfactory.models.lora import changes
from dsfactory.models.textual_inversion import vectors
from dsfactory.models.vae import locate_vae, vae_digest
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.evidence import MAX_SIDE, Evidence
from dsfactory.stages.generate.model import check_layouts, limits, missing_model
from dsfactory.stages.generate.recipes import Recipe
from dsfactory.stages.prompts.config import ATTRIBUTES, DOMAIN, PromptsConfig
from dsfactory.stages.prompts.domains import Domains

if TYPE_CHECKING:
    from dsfactory.stages.generate.layouts.colours import Colours
    from dsfactory.stages.generate.layouts.layout import Placed
    from dsfactory.stages.generate.sampler import Drawing, Sampler, Target

WRITERS = 4
"""Threads that turn drawings into files."""


SCHEMA = pa.schema(
    [
        *SOURCE_COLUMNS,
        ("prompt", pa.string()),
        ("source", pa.string()),
        *((name, pa.string()) for name in ATTRIBUTES),
        (DOMAIN, pa.string()),
        ("seed", pa.int64()),
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("image_seed", pa.int64()),
        ("attempts", pa.int32()),
        ("queried", pa.list_(pa.string())),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("layout", pa.string()),
    ]
)


class GenerateStage(Stage):
    """Draw an image per prompt, and keep where the model's attention saw its classes.

    Args:
        config: what draws the images, and how.
        classes: the run's classes; the prompts stage's fingerprint holds their names and synonyms.
        counts: how many images of each class the run is to have.
        negatives: by domain, what guidance steers away from beside the negative prompt.
    """

    name: ClassVar[str] = "generate"
    version: ClassVar[int] = 2
    kind: ClassVar[Kind] = Kind.SOURCE
    Config: ClassVar[type[Section]] = GenerateConfig
    reads: ClassVar[tuple[Role, ...]] = (Role.PROMPT,)
    writes: ClassVar[Output] = Output(
        (Role.IMAGE, Role.ATTENTION),
        SCHEMA,
        {"ok": frozenset({IMAGE, EVIDENCE})},
        bytes_per_pixel=1.8,
        bytes_per_sample=20_000.0,
        added=frozenset({"layout", DOMAIN}),
        extra=LAYOUTS,
    )

    def __init__(
        self,
        config: GenerateConfig,
        classes: Sequence[ClassSpec],
        counts: Mapping[str, int] | None = None,
        negatives: Mapping[str, str] | None = None,
    ) -> None:
        self._config, self._counts = config, dict(counts or {})
        self._negatives = dict(negatives or {})
        self._classes = {item.name: item for item in classes}
        self._sampler: Sampler | None = None

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(GenerateConfig), settings.classes, settings.counts, _negatives(settings))

    @classmethod
    def made(cls, state: StageState) -> bool:
        return super().made(state) and not reads_pictures(state)

    @classmethod
    def missing(cls, settings: RunSettings) -> Download | None:
        return missing_model(settings.of(GenerateConfig))

    def settled(self, state: StageState | None, machines: Machines) -> "GenerateStage":
        config = settled_dtype(self._config, state, machines)
        return self._with(config)

    def _with(self, config: GenerateConfig) -> "GenerateStage":
        return self.served_as(GenerateStage(config, tuple(self._classes.values()), self._counts, self._negatives))

    def wanted(self, run: Run | None) -> dict[str, int]:
        return self._counts

    def check(self, run: Run | None, redo: bool) -> list[str]:
        """Refuse adapters of another model; say before the first image what a model cannot do."""
        for lora in self.loras:
            changes(lora, self.model)
        for embedding in self.embeddings:
            vectors(embedding, self.model)
        return [*check_layouts(self._config), *limits(self._config)]

    @cached_property
    def model(self) -> Model:
        """The model on this machine; fetched from the hub when it is not there yet.

        Raises:
            UserError: see :func:`dsfactory.models.locate.locate_model`.
        """
        return locate_model(self._config.model, self._config.revision)

    @cached_property
    def loras(self) -> tuple[Adapter, ...]:
        """The LoRAs that the settings name, fetched if they have to be."""
        return find_loras(self._config.lora)

    @cached_property
    def embeddings(self) -> tuple[Adapter, ...]:
        """The textual inversions that the settings name."""
        return find_embeddings(self._config.embedding)

    @cached_property
    def resolved(self) -> GenerateConfig:
        """The configuration with the model's defaults filled in."""
        defaults = self.model.defaults
        return self._config.model_copy(
            update={
                name: getattr(defaults, name)
                for name in ("width", "height", "steps", "guidance", "scheduler", "negative_prompt")
                if getattr(self._config, name) is None
            }
        )

    def identity(self) -> dict[str, Any]:
        settings = self.resolved.identity()
        del settings["model"], settings["revision"], settings["lora"], settings["embedding"]
        family = self.model.layout.family
        if "clip_skip" in settings and family not in ("sd", "sdxl", "sd3"):
            raise UserError(f"generate.clip_skip does not suit {self.model.name}, which reads no CLIP: leave it out")
        parts = Recipe.parse(self._config.recipe)
        for name in ("block", "concepts"):
            if getattr(parts, name) and family not in ("sd3", "flux"):
                raise UserError(f"generate.recipe: '{name}' reads Stable Diffusion 3 and FLUX.1, not {self.model.name}")
        if parts.heads and FAMILIES[family].joint:
            raise UserError(f"generate.recipe: 'heads' reads cross-attention, which {self.model.name} has not")
        if "vae" in settings:
            settings["vae"] = vae_digest(locate_vae(settings["vae"]))
        # What was set right since the version began is named where it changes something: all other runs go on.
        corrected: dict[str, Any] = {}
        if settings["width"] != settings["height"]:
            corrected |= oblong_grids(family, max(settings["width"], settings["height"]))
        if family == "flux" and (tokens := text_tokens(family, read_config(self.model.path / "transformer"))) != 512:
            corrected["text_tokens"] = tokens
        adapted = {
            name: [item.identity for item in adapters]
            for name, adapters in (("lora", self.loras), ("embedding", self.embeddings))
            if adapters
        }
        if self._config.control_model is not None:
            folder = locate_controlnet(self._config.control_model)
            colours = self._colours[: len(self._classes) + 1].tolist()
            settings["layout"] |= {"model": controlnet_digest(folder), "colours": colours}
        return {**settings, **corrected, **adapted, "model": self.model.identity()}

    @cached_property
    def _colours(self) -> "Colours":
        """By which the ControlNet knows the run's classes."""
        from dsfactory.stages.generate.layouts.colours import find_colours

        assert self._config.control_model is not None
        folder = locate_controlnet(self._config.control_model)
        return find_colours(tuple(self._classes.values()), folder, self._config.layout.palette)

    @property
    def device(self) -> str:
        return self._config.device

    def on_device(self, device: str) -> "GenerateStage":
        config = self._config.model_copy(update={"device": device})
        return self._with(config)

    def load(self) -> None:
        # Imported here so that asking what a stage is does not load PyTorch. The vocabulary is the one by which
        # captions were chosen: what the prompts stage took for a mention has to be one here too.
        from dsfactory.models.controlnet import load_controlnet, with_controlnet
        from dsfactory.models.loading import compile_blocks, load_pipeline, use_xformers
        from dsfactory.stages.generate.sampler import Follower, Sampler
        from dsfactory.stages.prompts.vocabulary import find_mentions

        config = self.resolved
        pipeline = load_pipeline(
            self.model,
            config.device,
            config.dtype,
            scheduler=config.scheduler,
            offload=config.offload,
            vae=config.vae,
            loras=self.loras,
            embeddings=self.embeddings,
        )
        if config.xformers:
            use_xformers(pipeline)
        if config.compile:
            compile_blocks(pipeline)
        follower = None
        if config.control_model is not None:
            network = load_controlnet(locate_controlnet(config.control_model), pipeline.unet)
            follower = Follower(with_controlnet(pipeline, network), self._colours, config.layout.scale)
        assert config.width and config.height and config.steps and config.guidance is not None
        self._sampler = Sampler(
            pipeline,
            width=config.width,
            height=config.height,
            steps=config.steps,
            guidance=config.guidance,
            find_mentions=find_mentions,
            negative_prompt=config.negative_prompt,
            batch_size=config.batch_size,
            affinity=config.affinity,
            clip_skip=config.clip_skip,
            tiling=config.vae_tiling,
            control=follower or (config.control if config.layouts else None),
            strengths=config.layout,
            recipe=Recipe.parse(config.recipe),
        )

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        from dsfactory.stages.generate.sampler import Request

        assert self._sampler is not None
        (prompts,) = inputs
        drawn_to = self._config.layouts is not None
        rows = prompts.rows
        layouts: list[Placed | None] = [None] * len(rows)
        if drawn_to:
            layouts = [self._placed(record) for record in prompts.records()]
        for row in rows:
            if unknown := [name for name in row["classes"] if name not in self._classes]:
                raise DamagedShard(
                    f"prompts/{shard.name}.parquet: sample {row['key']} names the class {unknown[0]!r}, "
                    "which the run does not have"
                )
        requests = [
            Request(
                row["prompt"], row["seed"], tuple(self._classes[name] for name in row["classes"]),
                self._to(row, layout), self._negatives.get(row.get(DOMAIN) or "", ""),
            )
            for row, layout in zip(rows, layouts, strict=True)
        ]  # fmt: skip
        # Compressing a picture takes as long as a good part of drawing it on a fast GPU, so threads do it meanwhile.
        with ThreadPoolExecutor(WRITERS) as pool:
            waiting: deque[Future[Record]] = deque()
            for row, layout, drawing in zip(rows, layouts, self._sampler.draw(requests), strict=True):
                waiting.append(pool.submit(self._record, row, layout, drawing))
                while waiting and (waiting[0].done() or len(waiting) > self._sampler.batch_size):
                    yield waiting.popleft().result()
            for record in waiting:
                yield record.result()

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        evidence = Evidence.from_bytes(record.files[EVIDENCE])
        if not evidence.cross:
            yield "the evidence holds no cross-attention"
        named = len(record.row["classes"])
        for maps in (*evidence.cross.values(), *evidence.affinity.values()):
            if len(maps) != named:
                yield f"the evidence is about {len(maps)} classes, the row about {named}"

    def _placed(self, prompt: Record) -> "Placed":
        """The layout of a prompt in the size of the image."""
        from dsfactory.stages.generate.layouts.layout import Placed

        config = self.resolved
        assert config.width and config.height
        try:
            return Placed.of(prompt.files, config.width, config.height)
        except ValueError as error:
            raise DamagedShard(f"prompts: sample {prompt.key}: {error}") from error

    def _to(self, row: dict[str, Any], layout: "Placed | None") -> "Target | None":
        """What a row's image is drawn to."""
        if layout is None:
            return None
        from dsfactory.stages.generate.sampler import Target

        ids = {name: number for number, name in enumerate(self._classes, start=1)}
        return Target(layout, tuple(ids[name] for name in row["classes"]))

    def _record(self, row: dict[str, Any], layout: "Placed | None", drawing: "Drawing") -> Record:
        files: dict[str, bytes] = {}
        if drawing.image is not None and drawing.evidence is not None:
            files = {IMAGE: encode_rgb_png(drawing.image), EVIDENCE: drawing.evidence.to_bytes()}
            files |= layout.files if layout else {}
        columns = {
            "model": self.model.name,
            "width": self.resolved.width,
            "height": self.resolved.height,
            "image_seed": drawing.seed,
            "attempts": drawing.attempts,
            "queried": list(drawing.queried),
            "status": "failed" if drawing.reason else "ok",
            "reason": drawing.reason,
        }
        return Record(row["key"], {**row, **columns}, files)


def _negatives(settings: RunSettings) -> dict[str, str]:
    """By domain of the run, what guidance steers away from."""
    config = settings.of(PromptsConfig)
    if not config.domains:
        return {}
    from dsfactory.stages.prompts.vocabulary import class_words, run_matcher

    return Domains(config, run_matcher([class_words(spec) for spec in settings.classes])).negatives()


def reads_pictures(state: StageState) -> bool:
    """Whether a run's images are given ones: the identity of ``annotate`` has a section of that name."""
    return "annotate" in state.identity


def settled_dtype(config: GenerateConfig, state: StageState | None, machines: Machines) -> GenerateConfig:
    """The settings with a number format in place of ``auto``, so that a run never holds a mixture.

    A run that goes on keeps the format in which it was begun, wherever that was; a new one takes that of its device.
    """
    if config.dtype != "auto":
        return config
    dtype = state.identity.get("dtype") if state is not None else None
    if dtype not in ("fp32", "bf16", "fp16"):
        dtype = machines.auto_dtype(config.device)
    return config.model_copy(update={"dtype": dtype})


def oblong_grids(family: str, longer: float) -> dict[str, str]:
    """What an identity says of oblong pictures whose finest grid used to be left out for its longer side.

    Args:
        family: of the model.
        longer: the longer side of the longest of them, in pixels.

    Returns:
        An entry, or none where the evidence is what it was.
    """
    pixels = {"sd": 8, "sdxl": 16}.get(family)  # a side of a position of the finest grid
    return {"oblong_grids": "by area"} if pixels is not None and longer > pixels * MAX_SIDE else {}
