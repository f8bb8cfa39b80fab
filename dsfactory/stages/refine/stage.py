"""The refine stage: a shard of images and evidence to a shard of masks and scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa
from safetensors import SafetensorError

from dsfactory.core.config import ClassSpec, RunSettings, Section
from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import EVIDENCE, IMAGE, INSTANCES, MASK, MASKS, Record
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Kind, Output, Reporter, Role, Scope, Stage
from dsfactory.dataset.label_faults import score_faults
from dsfactory.errors import UserError
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.refine.affinity_file import FILE, net_digest
from dsfactory.stages.refine.config import RefineConfig

if TYPE_CHECKING:
    from dsfactory.stages.refine.affinity_net import AffinityNet

SCORES = pa.schema(
    [
        ("threshold", pa.list_(pa.float32())),
        ("agreement", pa.list_(pa.float32())),
        ("claim", pa.list_(pa.float32())),
        ("peak", pa.list_(pa.float32())),
        ("area", pa.list_(pa.float32())),
        ("components", pa.list_(pa.int32())),
        ("void", pa.float32()),
    ]
)
"""One value per class, in the order of ``classes``; see :class:`dsfactory.stages.refine.mask.RefinedMask`."""


@dataclass
class RefineStage(Stage):
    """Masks from evidence.

    Adds the files ``mask.png`` (class ids in the order of the run's classes from 1, 0 background, 255 void) and
    ``instances.png``, and a column per score. A sample whose first class has no mask is ``"rejected"``; one whose files
    cannot be read is ``"failed"``, has no files, and its scores are null.

    Raises:
        UserError: pydensecrf is asked for and not installed.
    """

    config: RefineConfig
    classes: Sequence[ClassSpec]
    net: Path | None = None
    """Where the run's affinity network is, for ``config.affinity`` ``"net"``."""
    _loaded: "AffinityNet | None" = field(default=None, repr=False, compare=False)

    name: ClassVar[str] = "refine"
    version: ClassVar[int] = 6
    kind: ClassVar[Kind] = Kind.LABELER
    Config: ClassVar[type[Section]] = RefineConfig
    reads: ClassVar[tuple[Role, ...]] = (Role.IMAGE, Role.ATTENTION)
    writes: ClassVar[Output] = Output(
        (Role.LABEL,),
        pa.unify_schemas([GenerateStage.writes.schema, SCORES]),
        {"ok": MASKS, "rejected": MASKS},
        bytes_per_pixel=0.06,
        bytes_per_sample=3_000.0,
    )
    artifacts: ClassVar[tuple[str, ...]] = ("net.*",)
    needed: ClassVar[tuple[str, ...]] = (FILE,)
    varying: ClassVar[tuple[str, ...]] = ("affinity_net",)

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(RefineConfig), settings.classes, run.absolute() / cls.folder / FILE)

    def in_run(self, run: Path) -> "RefineStage":
        return self.served_as(RefineStage(self.config, self.classes, run.absolute() / self.folder / FILE))

    def scope(self, run: Run | None, redo: bool) -> Scope:
        """Masks wait for all images while a network has to learn from them first."""
        if self.config.affinity != "net":
            return Scope.SHARD
        from dsfactory.stages.refine.affinity_run import has_net

        there = run is not None and not redo and has_net(run, self.config, self.inputs)
        return Scope.SHARD if there else Scope.RUN

    def make_artifacts(self, run: Run, report: Reporter) -> None:
        """Train the affinity network that the settings may want."""
        if self.config.affinity == "net":
            from dsfactory.stages.refine.affinity_run import train_net

            train_net(run, self.config, self.inputs, report)

    def identity(self) -> dict[str, Any]:
        """The settings, the class list, which decides the values in the masks, and the affinity network if one is used.

        Before it is trained, the network is named by an empty text.
        """
        identity = {**self.config.identity(), "classes": [spec.name for spec in self.classes]}
        if self.config.affinity == "net":
            assert self.net is not None
            identity["affinity_net"] = net_digest(self.net)
        return identity

    def __post_init__(self) -> None:
        if self.config.crf_backend == "pydensecrf" and find_spec("pydensecrf") is None:
            raise UserError(
                "pydensecrf is not installed: leave refine.crf_backend at 'lattice', which computes the same, "
                "or pip install 'dsfactory[densecrf]' (needs a C++ compiler and Python < 3.13)"
            )

    def load(self) -> None:
        """Keep OpenCV to one thread, for shards are the unit of parallel work."""
        import cv2

        cv2.setNumThreads(1)
        if self.config.affinity == "net":
            from dsfactory.stages.refine.affinity_run import load_net

            assert self.net is not None
            self._loaded = load_net(self.net)

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        (images,) = inputs
        ids = {spec.name: number for number, spec in enumerate(self.classes, start=1)}
        for record in images.records():
            if record.row["status"] != "ok":
                yield _failed(record, record.row["reason"])
                continue
            try:
                unknown = [name for name in record.row["classes"] if name not in ids]
                if unknown:
                    raise ValueError(f"its row names the class {unknown[0]!r}, which the run does not have")
                yield self._refine(record, [ids[name] for name in record.row["classes"]])
            except ValueError as error:
                yield _failed(record, str(error))

    def _refine(self, record: Record, class_ids: list[int]) -> Record:
        from dsfactory.stages.refine.mask import refine_mask

        for name in (IMAGE, EVIDENCE):
            if name not in record.files:
                raise ValueError(f"{name} is missing")
        image = decode_rgb_png(record.files[IMAGE])
        evidence = read_evidence(record.files[EVIDENCE])
        mask = refine_mask(image, evidence.cross, evidence.affinity, class_ids, self.config, self._loaded)
        primary = record.row["classes"][0]
        found = mask.area[0] > 0.0
        row = {
            **record.row,
            "threshold": mask.thresholds,
            "agreement": mask.agreement,
            "claim": mask.claim,
            "peak": mask.peak,
            "area": mask.area,
            "components": mask.components,
            "void": mask.void,
            "status": "ok" if found else "rejected",
            "reason": "" if found else f"no mask for {primary}",
        }
        files = {MASK: encode_index_png(mask.labels), INSTANCES: encode_index_png(mask.instances)}
        return Record(record.key, row, files)

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        ids = [classes.index(name) + 1 for name in record.row["classes"]]
        mask, instances = decode_index_png(record.files[MASK]), decode_index_png(record.files[INSTANCES])
        yield from score_faults(record.row, mask, instances, ids)


def read_evidence(data: bytes) -> Evidence:
    """Evidence as it is in a tar.

    Raises:
        ValueError: the bytes hold none.
    """
    try:
        return Evidence.from_bytes(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"the evidence cannot be read: {error}") from error


def _failed(record: Record, reason: str) -> Record:
    return Record(record.key, {**record.row, **dict.fromkeys(SCORES.names), "status": "failed", "reason": reason})
