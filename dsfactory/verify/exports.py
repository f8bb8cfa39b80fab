"""Examine an export: its files against each other and, inside a run, against the run's samples."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.run import is_run
from dsfactory.errors import DsfactoryError, UserError
from dsfactory.formats import FORMATS, ExportSample
from dsfactory.formats.checker import ExportCheck, Place
from dsfactory.formats.checksums import ChecksumCheck
from dsfactory.formats.coco.check import CocoCheck
from dsfactory.formats.folder import read_manifest
from dsfactory.formats.voc.check import VocCheck
from dsfactory.jobs.export import kept_samples_of
from dsfactory.jobs.splicing import spliced_samples_of

_CHECKS: dict[str, type[ExportCheck]] = {
    "coco": CocoCheck,
    "voc": VocCheck,
    **{name: ChecksumCheck for name, writer in FORMATS.items() if writer.has_checksums},
}


def verify_export(folder: Path) -> Findings:
    """Read an export in full.

    When it lies in a run (at ``<run>/export/<name>``) and the run's samples are still those that it was made of, its
    images and labels are compared with them.
    """
    found = Findings(folder, "export")
    try:
        manifest = read_manifest(folder)
        assert manifest is not None
        check_class = _CHECKS[manifest["format"]]
        found.kind = manifest["format"]
        check = check_class(folder, tuple(manifest["classes"]), manifest["settings"], manifest["counts"])
    except (UserError, KeyError, TypeError) as error:
        found.faults.append(Fault("dsfactory.json", f"is not what an export of dsfactory has ({error})"))
        return found
    found.faults += [Fault(place, text) for place, text in _count_faults(folder, manifest["files"])]
    found.faults += [Fault(place, text) for place, text in check.faults()]
    found.checked[f"{found.kind} images"] = check.images
    run = folder.resolve().parent.parent
    if is_run(run):
        _compare(run, manifest["fingerprint"], check, found)
        if found.faults:
            found.advice = f"'dsfactory export {run} --format {found.kind} --redo' makes it again"
    return found


def _count_faults(folder: Path, expected: dict[str, int]) -> Iterator[Place]:
    counts = Counter({os.path.relpath(top, folder): len(names) for top, _, names in os.walk(folder)})
    counts["."] -= 1  # the manifest
    for name in sorted({*counts, *expected}):
        if counts[name] != expected.get(name, 0):
            yield name, f"holds {counts[name]} files instead of {expected.get(name, 0)}"


def _compare(run: Path, fingerprint: str, check: ExportCheck, found: Findings) -> None:
    try:
        samples = _samples(run, fingerprint, check.settings["val_share"])
        if samples is None:
            found.notes.append("the run's samples have changed since: 'dsfactory export --redo' takes the new ones")
            return
        found.faults += [Fault(place, text) for place, text in check.compare(samples)]
    except DsfactoryError as error:
        found.notes.append(f"could not be compared with the run: {error}")


def _samples(run: Path, fingerprint: str, val_share: float) -> Iterable[ExportSample] | None:
    """The samples of which an export was made, whichever it left out; None when they have changed since."""
    for filtered in (True, False):
        kept = kept_samples_of(run, filtered)
        if kept.fingerprint == fingerprint:
            return kept.samples()
        spliced = spliced_samples_of(run, val_share)
        if spliced is not None and spliced.combined(kept.fingerprint) == fingerprint:
            return chain(kept.samples(), spliced.samples())
    return None
