"""From a run's finished shards to datasets: ``dsfactory export``."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dsfactory.core.words import counted
from dsfactory.dataset.exported import noting
from dsfactory.dataset.own_files import OwnFiles
from dsfactory.dataset.sample import ExportSample
from dsfactory.errors import UserError
from dsfactory.formats import find_format
from dsfactory.formats.croissant import CROISSANT
from dsfactory.formats.exporter import ExportSummary, export, is_there
from dsfactory.formats.writer import Copy, ImageFormat
from dsfactory.jobs.choice import Choice
from dsfactory.jobs.counting import StagePlan
from dsfactory.jobs.naming import standing_notes
from dsfactory.jobs.plan import Plan
from dsfactory.jobs.provenance import provenance_of
from dsfactory.jobs.samples import RunSamples, samples_of
from dsfactory.jobs.settings import run_config
from dsfactory.runner.limits import folder_size
from dsfactory.runner.log import log_event, run_log
from dsfactory.stages.generate.config import GenerateConfig

PROBE = 8
"""Samples that are exported on trial, to a folder that is thrown away."""


@dataclass(frozen=True)
class ExportOptions:
    """Which samples of a run are exported, and how they are written.

    Attributes:
        image_format: ``"jpg"`` or ``"png"``; None for each format's own choice.
        rle: COCO segmentations as run lengths.
        without: names of stages that do not count; see :func:`dsfactory.jobs.samples.samples_of`.
        keep_empty: images without any object too; see there.
        copy: what becomes of the user's own pictures; see :data:`dsfactory.formats.writer.Copy`.
        min_trust: objects of less trust are ignored, 0 to 1; see :func:`dsfactory.jobs.samples.samples_of`.
        selected: only what select chose; see there.
        provenance: say where each sample comes from; see :mod:`dsfactory.formats.provenance`.
        test_share: share of the samples that goes to a test split.
        choice: which of these samples, and how they are changed.
    """

    image_format: ImageFormat | None = None
    rle: bool = False
    without: Collection[str] = ()
    keep_empty: bool = False
    copy: Copy = "copy"
    min_trust: float = 0.0
    selected: bool = False
    provenance: bool = True
    test_share: float = 0.0
    choice: Choice = Choice()  # noqa: RUF009 -- frozen


def check_formats(text: str) -> list[str]:
    """``"coco,voc"`` as format names.

    Raises:
        UserError: a name is unknown; says which are known.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        find_format(name)
    return names


def export_job(
    run_path: Path,
    formats: str,
    out: Path | None,
    val_share: float,
    redo: bool = False,
    options: ExportOptions = ExportOptions(),
) -> list[ExportSummary]:
    """Write a run's kept samples in one or more formats.

    Reads finished shards only, so it may be asked while another process works on the run.

    Args:
        run_path: the run's directory.
        formats: names separated by commas.
        out: where to; None for ``<run>/export/<format>``. With several formats, each gets a folder below it.
        val_share: share of the samples that goes to validation.
        redo: replace an export that was made with other settings or from other shards.
        options: what is taken and how it is written.

    Raises:
        UserError: not a run, not refined yet, nothing kept, an unknown format, or a target that is not ours.
    """
    exports = plan_exports(run_path, formats, out, val_share, options)
    summaries: list[ExportSummary] = []
    # The log belongs to the run; an export from a folder that may only be read works all the same.
    with run_log(run_path, "export") as ended:
        for name, target in exports.targets:
            refused = exports.found.kept.corrections.refused
            refused.clear()
            start = time.monotonic()
            own = OwnFiles(exports.found.files)
            with noting(run_path, exports.found.fingerprint) as noted:
                summary = exports.write(name, target, noted(exports.samples(own)), redo)
            full = replace(summary, refused_fixes=list(refused), renamed=own.names.changed, gone=own.gone)
            summaries.append(replace(full, notes=exports.notes if not summaries else ()))
            if summary.made:
                images, seconds = sum(summary.images.values()), round(time.monotonic() - start, 3)
                log_event("exported", format=name, samples=images, seconds=seconds)
        ended |= {"exit_code": 0, "exports": [item.as_json() for item in summaries]}
    return summaries


@dataclass(frozen=True)
class Exports:
    """What is to be exported, and where to.

    Attributes:
        found: the run's samples.
        targets: format and folder of each export.
        settings: arguments of :func:`dsfactory.formats.exporter.export` that all of them share.
        notes: what a person should know of what is exported.
        choice: which samples of the run.
        known: the run's classes.
    """

    found: RunSamples
    targets: list[tuple[str, Path]]
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
    choice: Choice = Choice()  # noqa: RUF009 -- frozen
    known: tuple[str, ...] = ()

    def samples(self, own: OwnFiles) -> Iterator[ExportSample]:
        """What is exported; see :meth:`dsfactory.jobs.samples.RunSamples.exported`."""
        return self.choice.taken(self.found.exported(own), self.known, self.found)

    def write(self, format: str, target: Path, samples: Iterator[ExportSample], redo: bool) -> ExportSummary:
        """Write samples in one format.

        Raises:
            UserError: see :func:`dsfactory.formats.export`.
        """
        return export(format, samples, out=target, redo=redo, **self.settings)


def plan_exports(
    run_path: Path,
    formats: str,
    out: Path | None,
    val_share: float,
    options: ExportOptions = ExportOptions(),
) -> Exports:
    """Settle what :func:`export_job` writes with the same arguments. Writes nothing.

    Raises:
        UserError: see there.
    """
    names = check_formats(formats)
    config = run_config(run_path)
    known = tuple(item.name for item in config.classes)
    choice = options.choice
    found = samples_of(
        run_path,
        val_share,
        options.without,
        options.keep_empty,
        options.min_trust,
        options.selected,
        options.test_share,
    )
    if options.copy != "copy" and not found.given:
        raise UserError(f"--copy {options.copy} is about your own pictures: the images of {run_path} were generated")
    folder = out if out is not None else run_path / "export"
    alone = out is not None and len(names) == 1
    adopted = found.kept.images.kind.name if found.adopted else ""
    settings: dict[str, Any] = {
        "classes": choice.class_names(known),
        "chosen": choice.settings(),
        "test_share": options.test_share,
        "fingerprint": found.fingerprint,
        "val_share": val_share,
        "model": adopted or config.of(GenerateConfig).model,
        "image_format": options.image_format,
        "rle": options.rle,
        "drawn": found.drawn,
        "adopted": found.adopted,
        "keep_empty": options.keep_empty,
        "corrected": any(not fix.decision for fix in found.kept.corrections.entries.values()),
        "copy": options.copy,
        "remark": found.remark(),
        "trust": found.trust.digest if found.trust is not None else "",
        "min_trust": options.min_trust,
        "provenance": provenance_of(run_path, found.given, adopted, options.without) if options.provenance else None,
    }
    targets = [(name, folder if alone else folder / name) for name in names]
    notes = (*(standing_notes(config) if not found.adopted else ()), *filter(None, [settings["remark"]]))
    return Exports(found, targets, settings, notes, choice, known)


def plan_export(
    run_path: Path,
    formats: str,
    out: Path | None,
    val_share: float,
    redo: bool = False,
    options: ExportOptions = ExportOptions(),
) -> Plan:
    """What :func:`export_job` would do with the same arguments.

    Size and time are measured: the first few samples are exported to a temporary folder.

    Raises:
        UserError: it would refuse.
    """
    exports = plan_exports(run_path, formats, out, val_share, options)
    count = options.choice.count(exports.found, exports.known)
    if not count:
        raise UserError("there is no finished sample to export: see the reasons with 'dsfactory status'")
    stages = []
    for name, target in exports.targets:
        if is_there(name, target, redo=redo, **exports.settings):
            stages.append(StagePlan(name, count, 0, 0, True, 0.0))
        else:
            stages.append(_try_export(exports, name, count))
    about = f"{counted(count, 'image')} of {', '.join(exports.settings['classes'])}"
    return Plan(run_path, exports.settings["model"], 0, None, None, stages, about, exports.notes)


def _try_export(exports: Exports, name: str, count: int) -> StagePlan:
    samples = list(islice(exports.samples(OwnFiles(exports.found.files)), PROBE))
    with TemporaryDirectory(prefix="dsfactory-export-") as temporary:
        folder = Path(temporary) / name
        start = time.monotonic()
        exports.write(name, folder, iter(samples), redo=False)
        seconds = time.monotonic() - start
        papers = (folder / name for name in ("README.md", CROISSANT))  # as large for all samples
        fixed = sum(path.stat().st_size for path in papers if path.exists())
        size = folder_size(folder) - fixed
    share = count / max(1, len(samples))
    basis = f"the pace of {len(samples)} exported on trial"
    return StagePlan(name, 0, count, round(size * share) + fixed, True, round(seconds * share, 3), basis)
