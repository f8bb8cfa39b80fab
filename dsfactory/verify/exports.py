"""Examine an export: its files against each other and, inside a run, against the run's samples."""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.run import Run, is_run
from dsfactory.core.stage import Kind, Role
from dsfactory.dataset.own_files import OwnFiles
from dsfactory.errors import DsfactoryError, UserError
from dsfactory.formats import FORMATS
from dsfactory.formats.checker import ExportCheck, Place
from dsfactory.formats.folder import FolderTarget
from dsfactory.jobs.choice import Choice
from dsfactory.jobs.samples import RunSamples, samples_of
from dsfactory.stages import STAGES


def verify_export(folder: Path) -> Findings:
    """Read an export in full.

    When it lies in a run (at ``<run>/export/<name>``) and the run's samples are still those that it was made of, its
    images and labels are compared with them.
    """
    found = Findings(folder, "export")
    try:
        manifest = FolderTarget(folder).manifest()
        assert manifest is not None
        format = FORMATS[manifest["format"]]
        found.kind = format.name
        check = format.checker()(folder, tuple(manifest["classes"]), manifest["settings"], manifest["counts"])
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
        samples = _samples(run, fingerprint, check.settings)
        if samples is None:
            found.notes.append("the run's samples have changed since: 'dsfactory export --redo' takes the new ones")
            return
        known = [item.name for item in Run.open(run).manifest.classes]
        exported = Choice.of(check.settings).taken(samples.exported(OwnFiles(samples.files)), known, samples)
        found.faults += [Fault(place, text) for place, text in check.compare(exported)]
    except DsfactoryError as error:
        found.notes.append(f"could not be compared with the run: {error}")


def _samples(run: Path, fingerprint: str, settings: dict[str, Any]) -> RunSamples | None:
    """The samples that an export was made of, whichever stages it left out; None when they have changed since.

    Raises:
        DsfactoryError: none of those that can be told are it.
    """
    begun = STAGES.begun(Run.open(run))
    optional = [
        item.kind.name for item in begun
        if item.kind.own_space or (item.kind.kind is Kind.JUDGE and Role.LABEL in item.kind.writes.roles)
    ]  # fmt: skip
    problem: DsfactoryError | None = None
    empty, min_trust = settings.get("keep_empty") is True, settings.get("min_trust", 0.0)
    ways = chain.from_iterable(combinations(optional, count) for count in range(len(optional) + 1))
    chosen = (False, True) if any(item.kind is STAGES["select"] for item in begun) else (False,)
    for without, selected in product(ways, chosen):
        try:
            shares = settings["val_share"], settings.get("test_share", 0.0)
            samples = samples_of(run, shares[0], without, empty, min_trust, selected, shares[1])
            if samples.fingerprint == fingerprint:
                return samples
        except DsfactoryError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None
