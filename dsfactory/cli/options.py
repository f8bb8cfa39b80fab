"""Options that several commands share, each with its help. Those that stand for settings are made from the settings."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dsfactory.cli.completion import formats, settings, stages
from dsfactory.cli.places import new_place, on_disk, run_place

if TYPE_CHECKING:
    from dsfactory.runner.executors import Engine as Executor
    from dsfactory.runner.limits import Limits

ARGUMENTS, OUTPUT = "Arguments", "Output"
"""A panel of the help; panels are those of :class:`dsfactory.core.flags.Panel`, which imports more than help may."""

_where = partial(typer.Option, rich_help_panel="Where it runs")
_limit = partial(typer.Option, rich_help_panel="Limits")
_output = partial(typer.Option, rich_help_panel=OUTPUT)

_RUN = "The run's folder, or s3://BUCKET/PATH [default: the newest under ./runs]"
RunPath = Annotated[Path | None, typer.Argument(help=_RUN, callback=run_place, metavar="RUN")]
Out = Annotated[
    Path | None,
    _output(help="The run's folder, or s3://BUCKET/PATH [default: ./runs/CLASSES-MODEL]", callback=run_place),
]
Classes = Annotated[str | None, typer.Option(help="Class names, separated by commas: dog,traffic light")]
ClassesFile = Annotated[
    Path | None, typer.Option(help="A file with a class per line: 'name' or 'name: synonym, synonym'.")
]
_APPEND = "Add this many images per class with every call; the first begins the run. A run that was stopped is finished"
Append = Annotated[int | None, typer.Option(min=1, metavar="N", help=f"{_APPEND} first.")]
_CONFIG = (
    "A run.yaml. Flags win over it, it wins over the run's saved settings. It may also hold out, formats and budget."
)
Config = Annotated[Path | None, typer.Option(help=_CONFIG, callback=on_disk, is_eager=True)]  # it may name the run
_SET = "Any setting: --set refine.certainty=0.9 (may be repeated)."
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=_SET, autocompletion=settings)]

Device = Annotated[str | None, _where(help="auto, cpu, cuda, cuda:1 … [default: auto]")]
_WORKERS = (
    "Worker processes that share the shards, each with one thread unless OMP_NUM_THREADS is set [default: this "
    "process, with all its threads]"
)
Workers = Annotated[int | None, _where(min=1, metavar="N", help=_WORKERS)]
Devices = Annotated[str | None, _where(metavar="N,N|all", help="CUDA devices, one worker process each: 0,1 or all.")]
Engine = Annotated[Literal["local", "ray"], _where(help="Who shares the shards out: this machine, or a Ray cluster.")]
_ADDRESS = "The Ray cluster: host:port of its head, or auto [default: $RAY_ADDRESS, else this machine]"
Address = Annotated[str | None, _where(help=_ADDRESS)]

_BUDGET = "Stop after this time (90s, 20m, 6h, 1h30m). The shard in hand is finished first."
Budget = Annotated[str | None, _limit(metavar="TIME", help=_BUDGET)]
Until = Annotated[str | None, _limit(metavar="HH:MM", help="Stop at this local time, in the same way.")]
_MAX_GB = "Stop before the run is larger than this, or the disk nearly full."
MaxGb = Annotated[float | None, _limit(min=0, metavar="GB", help=_MAX_GB)]

_FORMAT = (
    "What to write, separated by commas: coco, cvat, hf (ImageFolder), labelstudio, mvtec (anomalib), panoptic "
    "(Mask2Former), parquet (Hugging Face), png (mmsegmentation), voc, webdataset, yolo."
)
Format = Annotated[str, _output(help=_FORMAT, autocompletion=formats)]
RunFormat = Annotated[str | None, _output("--format", help=f"{_FORMAT} [default: coco]", autocompletion=formats)]
"""Of a command whose ``--config`` may name formats too."""
ValShare = Annotated[float, _output(min=0.0, max=1.0, help="Share of the images that goes to the val split.")]
_TEST_SHARE = "Share of the images that goes to a test split; parents and what was made of them stay on one side."
TestShare = Annotated[float, _output(min=0.0, max=1.0, help=_TEST_SHARE)]
_OF_CLASSES = "Only these classes, in this order; others become background [default: all of the run]"
OfClasses = Annotated[str | None, _output("--classes", metavar="NAME,NAME", help=_OF_CLASSES)]
_TOP = "Only the N best images of each class, by trust or agreement [default: all]"
Top = Annotated[int | None, _output("--top", min=1, metavar="N", help=_TOP)]
_SIZE = "Resize images and labels: length of the longer side in pixels [default: as they are]"
Size = Annotated[int | None, _output("--size", min=16, max=8192, metavar="PIXELS", help=_SIZE)]
_EXPORT_OUT = "A folder, or s3://BUCKET/PATH; each of several formats gets a folder in it [default: RUN/export/FORMAT]"
ExportOut = Annotated[Path | None, _output(help=_EXPORT_OUT, callback=new_place)]
_IMAGES = "Of the images [default: what the format's readers expect: jpg for voc and png, png for the others]"
ImageFormat = Annotated[Literal["jpg", "png"] | None, _output(help=_IMAGES)]
_COPY = "Of your own pictures: a copy of each file as it is, a link to it, or nothing but the labels."
Copy = Annotated[Literal["copy", "link", "none"], _output(help=_COPY)]
Rle = Annotated[bool, _output("--rle", help="COCO segmentations as run lengths. Several loaders read polygons only.")]
_KEEP_EMPTY = (
    "Keep images without objects as negatives: those from which a person took all labels away, and own pictures that "
    "show none of the classes."
)
KeepEmpty = Annotated[bool, _output("--keep-empty", help=_KEEP_EMPTY)]
_MIN_TRUST = (
    "Ignore (255, void) objects whose trust is lower, such as 0.5: the probability that an object's IoU with the truth "
    "is 0.8 or more. An image without any other object is left out."
)
MinTrust = Annotated[float, _output(min=0.0, max=1.0, show_default=False, metavar="SHARE", help=_MIN_TRUST)]
_SELECTED = "Only what 'dsfactory select' chose, without what was composed of it."
Selected = Annotated[bool, _output("--selected", help=_SELECTED)]
_NO_PROVENANCE = (
    "Leave out where samples come from: no XMP, card, Croissant, provenance.csv and no columns of them in the tables."
)
NoProvenance = Annotated[bool, _output("--no-provenance", help=_NO_PROVENANCE)]
_WITHOUT = (
    "As if this stage were not there: filter takes what it dropped too, splice leaves its images out (may be repeated)."
)
Without = Annotated[list[str] | None, typer.Option(metavar="STAGE", help=_WITHOUT, autocompletion=stages)]
NoFilter = Annotated[bool, typer.Option("--no-filter", hidden=True)]
NoSplice = Annotated[bool, typer.Option("--no-splice", hidden=True)]

_REDO = "Make it again with these settings. What was made of it is made again later."
Redo = Annotated[bool, _output("--redo", help=_REDO)]
_DEFAULTS = "Forget what earlier commands set for these stages: the defaults count, and the flags of this command."
Defaults = Annotated[bool, _output("--defaults", help=_DEFAULTS)]
_DRY_RUN = "Only say what would be done: samples, time, disk. Writes nothing."
DryRun = Annotated[bool, _output("--dry-run", help=_DRY_RUN)]
Json = Annotated[bool, _output("--json", help="Print one JSON summary instead of words.")]
_QUIET = "For cron: print only what someone should look at (errors, new failures, a full disk)."
Quiet = Annotated[bool, _output("--quiet", help=_QUIET)]


@dataclass(frozen=True)
class Shared:
    """The flags that every stage has, ``--set`` apart."""

    config: Config = None
    workers: Workers = None
    devices: Devices = None
    engine: Engine = "local"
    address: Address = None
    budget: Budget = None
    until: Until = None
    max_gb: MaxGb = None
    redo: Redo = False
    defaults: Defaults = False
    dry_run: DryRun = False
    as_json: Json = False
    quiet: Quiet = False

    @classmethod
    def taken(cls, given: dict[str, Any]) -> "Shared":
        """Those of all the values that are given; they are taken out."""
        return cls(**{name: given.pop(name) for name in cls.__dataclass_fields__})

    def limits(self, budget: str | None) -> "Limits":
        """When to stop; the budget is that of the file where no flag says one."""
        from dsfactory.runner.limits import Limits

        return Limits(self.budget or budget, self.until, self.max_gb)

    def executor(self) -> "Executor":
        """Who makes the shards."""
        from dsfactory.runner.executors import choose_engine

        return choose_engine(self.workers, self.devices, self.engine, self.address)
