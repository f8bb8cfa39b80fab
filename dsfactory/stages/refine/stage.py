"""The refine stage: a shard of images and evidence to a shard of masks and scores."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa
from safetensors import SafetensorError

from dsfactory.core.classes import ClassSpec
from dsfactory.core.config import RunSettings
from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import EVIDENCE, IMAGE, INSTANCES, LAYOUT, MASK, MASKS, Record
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Conclusion, Download, Kind, Machines, Output, Reporter, Role, Scope, Stage
from dsfactory.dataset.label_faults import score_faults
from dsfactory.dataset.own_files import FILE_SHA256, FOREIGN
from dsfactory.errors import UserError
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.refine.affinity_file import FILE, net_digest
from dsfactory.stages.refine.config import RefineConfig

if TYPE_CHECKING:
    from dsfactory.segment.promptable import Promptable
    from dsfactory.stages.refine.affinity_net import AffinityNet

SCORES = pa.schema(
    [
        ("threshold", pa.list_(pa.float32())),
        ("agreement", pa.list_(pa.float32())),
        ("claim", pa.list_(pa.float32())),
        ("peak", pa.list_(pa.float32())),
        ("area", pa.list_(pa.float32())),
        ("components", pa.list_(pa.int32())),
        ("missing", pa.list_(pa.string())),
        ("void", pa.float32()),
        ("snap_iou", pa.list_(pa.float32())),
        ("snap_score", pa.list_(pa.float32())),
        ("layout_iou", pa.list_(pa.float32())),
        ("asked", pa.list_(pa.int32())),
        ("count_off", pa.list_(pa.int32())),
    ]
)
"""One value per class, in the order of ``classes``; see :class:`dsfactory.stages.refine.mask.RefinedMask`. What a
promptable segmenter says (:class:`dsfactory.stages.refine.snap.Snapped`) has one per object, null where none is asked.
"""


@dataclass
class RefineStage(Stage):
    """Masks from evidence.

    Adds the files ``mask.png`` (class ids in the order of the run's classes from 1, 0 background, 255 void) and
    ``instances.png``, and a column per score. A class that was asked for and has no mask has the reason in ``missing``.
    A sample without the masks that ``config.require`` wants is ``"rejected"``; one whose files cannot be read is
    ``"failed"``, has no files, and its scores are null.

    Raises:
        UserError: pydensecrf is asked for and not installed.
    """

    config: RefineConfig
    classes: Sequence[ClassSpec]
    net: Path | None = None
    """Where the run's affinity network is, for ``config.affinity`` ``"net"``."""
    _loaded: "AffinityNet | None" = field(default=None, repr=False, compare=False)
    _witness: "Promptable | None" = field(default=None, repr=False, compare=False)

    name: ClassVar[str] = "refine"
    version: ClassVar[int] = 7
    kind: ClassVar[Kind] = Kind.LABELER
    Config: ClassVar[type[Section]] = RefineConfig
    reads: ClassVar[tuple[Role, ...]] = (Role.IMAGE, Role.ATTENTION)
    writes: ClassVar[Output] = Output(
        (Role.LABEL,),
        pa.unify_schemas([GenerateStage.writes.schema, SCORES]),
        {"ok": MASKS, "rejected": MASKS},
        bytes_per_pixel=0.06,
        bytes_per_sample=3_000.0,
        added=GenerateStage.writes.added | {"layout_iou", "asked", "count_off"},
    )
    artifacts: ClassVar[tuple[str, ...]] = ("net.*",)
    needed: ClassVar[tuple[str, ...]] = (FILE,)
    varying: ClassVar[tuple[str, ...]] = ("affinity_net",)
    meanings: ClassVar[Mapping[str, str]] = {
        "agreement": "IoU of the mask with the coarse mask that chose its threshold. Low: the two disagree.",
        "threshold": "Where the class's attention map was cut.",
        "claim": "IoU of what the class's map alone would label with what the class got among the others. Low: another "
        "class took its pixels, and the image probably does not show it.",
        "layout_iou": "IoU of the layout with what attention outlines by itself. Low: the object is not there.",
        "peak": "Highest attention probability that any pixel gives the class's word. Low: the model hardly looked "
        "for it.",
        "area": "Share of the image that the class covers.",
        "void": "Share of the image that is in doubt and ignored (255; VOC calls it void).",
        "count_off": "Objects found less objects that the prompt asks for, where it says a number. Other than 0: the "
        "image or its label shows another number.",
        "snap_iou": "Of each object: IoU of the promptable segmenter's mask with ours. Low: one of them is wrong.",
        "snap_score": "Of each object: the IoU that the promptable segmenter expects of its own mask.",
    }

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        if settings.of(RefineConfig).label == "layout" and settings.of(GenerateConfig).control != "controlnet":
            raise UserError(
                "refine.label=layout is for images that a ControlNet drew (generate --control controlnet): attention "
                "alone does not follow outlines, leave it at 'attention'"
            )
        return cls(settings.of(RefineConfig), settings.classes, run.absolute() / cls.folder / FILE)

    def in_run(self, run: Path) -> "RefineStage":
        return self.served_as(RefineStage(self.config, self.classes, run.absolute() / self.folder / FILE))

    @classmethod
    def missing(cls, settings: RunSettings) -> Download | None:
        name = settings.of(RefineConfig).snap
        if name is None:
            return None
        from dsfactory.segment.promptable import find_promptable

        return Download(name, None) if find_promptable(name) is None else None

    def settled(self, state: StageState | None, machines: Machines) -> "RefineStage":
        """Rules that are ``auto`` settled: a run that goes on keeps those that it was begun with."""
        rules: dict[str, Any] = {"recipe": ("family", "mean"), "instances": ("counted", "components")}
        settled = {
            name: new if state is None else state.identity.get(name, old)
            for name, (new, old) in rules.items()
            if getattr(self.config, name) == "auto"
        }
        return self.served_as(RefineStage(self.config.model_copy(update=settled), self.classes, self.net))

    @property
    def device(self) -> str | None:
        """Masks are made on a core, unless PyTorch computes the CRF or a promptable segmenter is asked."""
        return self.config.device if self.config.snap or self.config.crf_backend == "torch" else None

    def on_device(self, device: str) -> "RefineStage":
        if self.device is None:
            return self
        config = self.config.model_copy(update={"device": device})
        return self.served_as(RefineStage(config, self.classes, self.net))

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
        if self.config.snap is not None:
            from dsfactory.models.component import component_digest
            from dsfactory.segment.promptable import locate_promptable

            identity["snap"] = component_digest(locate_promptable(self.config.snap))
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
        if self.device is not None:
            from dsfactory.models.devices import choose_device

            place = choose_device(self.config.device)
            self.config = self.config.model_copy(update={"device": str(place)})
        if self.config.snap is not None:
            from dsfactory.segment.promptable import Promptable, locate_promptable

            self._witness = Promptable(locate_promptable(self.config.snap), place)
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
        from dsfactory.stages.generate.layouts.layout import Placed
        from dsfactory.stages.refine.mask import as_layout, refine_mask, with_witness
        from dsfactory.stages.refine.prior import Prior
        from dsfactory.stages.refine.snap import prompted

        for name in (IMAGE, EVIDENCE):
            if name not in record.files:
                raise ValueError(f"{name} is missing")
        image = decode_rgb_png(record.files[IMAGE])
        evidence = read_evidence(record.files[EVIDENCE])
        prior = None
        if LAYOUT in record.files:
            prior = Prior.of(Placed.of(record.files, image.shape[1], image.shape[0]), class_ids)
        asked = self._asked(record.row)
        mask = refine_mask(
            image, evidence.cross, evidence.affinity, class_ids, self.config, self._loaded, prior,
            edges=evidence.edges, asked=asked,
        )  # fmt: skip
        if prior is not None and self.config.label == "layout":
            mask = as_layout(mask, prior)
        heard: dict[str, Any] = {"snap_iou": None, "snap_score": None}
        if self._witness is not None:
            mask, snapped = with_witness(image, mask, class_ids, prompted(self._witness.masks))
            heard = {"snap_iou": snapped.iou, "snap_score": snapped.score}
        enough = any if self.config.require == "any" else all
        found = enough(mask.area)
        names = zip(record.row["classes"], mask.missing, strict=True)
        reason = "" if found else "; ".join(f"no mask for {name}: {why}" for name, why in names if why)
        row = {
            **record.row,
            "threshold": mask.thresholds,
            "agreement": mask.agreement,
            "claim": mask.claim,
            "peak": mask.peak,
            "area": mask.area,
            "components": mask.components,
            "missing": mask.missing,
            "void": mask.void,
            "asked": [number or None for number in asked],
            "count_off": [
                found - number if number else None for found, number in zip(mask.components, asked, strict=True)
            ],
            **heard,
            **({"layout_iou": mask.layout_iou} if prior else {}),
            "status": "ok" if found else "rejected",
            "reason": FOREIGN if not found and record.row["reason"] == FOREIGN else reason,
        }
        files = {MASK: encode_index_png(mask.labels), INSTANCES: encode_index_png(mask.instances)}
        return Record(record.key, row, files)

    def _asked(self, row: Mapping[str, Any]) -> list[int | None]:
        """How many objects of each class were asked for; nobody has asked for what a given picture shows."""
        from dsfactory.stages.refine.counted import asked_numbers

        if FILE_SHA256 in row:
            return [None] * len(row["classes"])
        specs = {spec.name: spec for spec in self.classes}
        return asked_numbers(row["prompt"], [specs[name] for name in row["classes"]])

    def conclude(self, run: Run) -> Conclusion:
        """How many images show how many classes, where several were asked for."""
        shown = Shown()
        for spec in run.finished(self.folder):
            shown.add(run.reader(self.folder, spec).rows)
        if not shown.several:
            return Conclusion()
        words = ", ".join(f"{count:,} {'show' if count > 1 else 'shows'} {number}" for number, count in shown.counts())
        return Conclusion((f"classes in an image: {words}",), {"shown": {str(k): v for k, v in shown.counts()}})

    @classmethod
    def describe_rows(cls, rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        shown = Shown()
        lines = super().describe_rows(shown.passing(rows))
        if shown.several:
            lines += [(f"ok, showing {k} {'class' if k == 1 else 'classes'}", f"{v:,}") for k, v in shown.counts()]
        return lines

    @classmethod
    def check_record(cls, record: Record, classes: Sequence[str]) -> Iterator[str]:
        ids = [classes.index(name) + 1 for name in record.row["classes"]]
        mask, instances = decode_index_png(record.files[MASK]), decode_index_png(record.files[INSTANCES])
        yield from score_faults(record.row, mask, instances, ids)


class Shown:
    """Counts the classes that images show, of rows of this stage.

    Attributes:
        several: some image was to show more than one.
    """

    def __init__(self) -> None:
        self.several = False
        self._counts: Counter[int] = Counter()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self.several |= len(row["classes"]) > 1
            if row["status"] == "ok":
                self._counts[sum(area > 0 for area in row["area"])] += 1

    def passing(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same rows, counted on their way."""
        for row in rows:
            self.add([row])
            yield row

    def counts(self) -> list[tuple[int, int]]:
        """Numbers of classes, ascending, and how many kept images show so many."""
        return sorted(self._counts.items())


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
    names = [name for name in SCORES.names if name != "layout_iou" or "layout" in record.row]
    return Record(record.key, {**record.row, **dict.fromkeys(names), "status": "failed", "reason": reason})
