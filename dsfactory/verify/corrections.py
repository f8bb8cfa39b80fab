"""Examine a run's corrections: that their list can be read, and that their files are what it says."""

from dsfactory.core.findings import Fault, Findings
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.dataset.corrections import FOLDER, Corrections
from dsfactory.dataset.label_faults import instance_faults
from dsfactory.errors import UserError


def verify_corrections(run: Run, found: Findings) -> None:
    """Read every correction of a run; a run without any has nothing to examine."""
    try:
        corrections = Corrections.of(run.path)
    except UserError as error:
        found.faults.append(Fault(FOLDER, str(error)))
        return
    for key in corrections.entries:
        place = f"{FOLDER}/{corrections.path(key, 'mask').name}"
        try:
            files = corrections.read(key)
            wrong = [] if files is None else list(instance_faults(*map(decode_index_png, files)))
        except (UserError, ValueError) as error:
            wrong = [str(error)]
        found.faults += [Fault(place, text) for text in wrong]
    if corrections.entries:
        found.checked["corrections"] += len(corrections.entries)
