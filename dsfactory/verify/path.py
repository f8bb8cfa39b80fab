"""Find out what a path holds and examine it."""

import os
from pathlib import Path

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.run import is_run
from dsfactory.errors import UserError
from dsfactory.formats.manifest import MANIFEST as EXPORT_MANIFEST
from dsfactory.runner.progress import Progress
from dsfactory.storage.names import MANIFEST
from dsfactory.verify.exports import verify_export
from dsfactory.verify.repair import repair_run
from dsfactory.verify.run import verify_run


def verify_path(path: Path, progress: Progress, repair: bool = False) -> Findings:
    """Examine a run with the exports in it, or an export.

    Args:
        path: the folder.
        progress: who is told.
        repair: make a run's broken shards again, and report what is still wrong then.

    Raises:
        UserError: there is neither, or ``repair`` is asked of an export, or a repair is not possible.
        RunLocked: a repair is asked for while another process works on the run.
    """
    if is_run(path):
        found = repair_run(path, progress) if repair else verify_run(path, progress)
        for folder in sorted((path / "export").glob("*")):
            if (folder / EXPORT_MANIFEST).is_file():
                _add(found, verify_export(folder), folder.relative_to(path))
        return found
    if os.path.isfile(path / EXPORT_MANIFEST):  # False for a name too long to be there, where Path.is_file raises
        if repair:
            raise UserError(f"{path} is an export: 'dsfactory export RUN --redo' makes it again")
        return verify_export(path)
    raise UserError(f"{path} is neither a run (with {MANIFEST}) nor an export (with {EXPORT_MANIFEST})")


def _add(found: Findings, export: Findings, place: Path) -> None:
    found.faults += [Fault(f"{place}/{fault.place}", fault.text) for fault in export.faults]
    found.notes += [f"{place}: {note}" for note in export.notes]
    found.checked.update(export.checked)
    if export.faults and not found.advice:
        found.advice = export.advice
