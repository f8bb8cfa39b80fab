"""Examine a run's fixes: that their list can be read, and that their files are what it says."""

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.dataset.corrections import FOLDER, Fixes
from dsfactory.dataset.label_faults import instance_faults
from dsfactory.errors import UserError


def verify_fixes(run: Run, found: Findings) -> None:
    """Read every fix of a run; a run without fixes has nothing to examine."""
    try:
        fixes = Fixes.of(run.path)
    except UserError as error:
        found.faults.append(Fault(FOLDER, str(error)))
        return
    for key in fixes.entries:
        place = f"{FOLDER}/{fixes.path(key, 'mask').name}"
        try:
            files = fixes.read(key)
            wrong = [] if files is None else list(instance_faults(*map(decode_index_png, files)))
        except (UserError, ValueError) as error:
            wrong = [str(error)]
        found.faults += [Fault(place, text) for text in wrong]
    if fixes.entries:
        found.checked["fixes"] += len(fixes.entries)
