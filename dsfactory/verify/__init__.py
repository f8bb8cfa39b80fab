"""Read a run or an export in full and say what is broken: ``dsfactory verify``."""

from dsfactory.core.findings import Fault, Findings
from dsfactory.verify.path import verify_path

__all__ = ["Fault", "Findings", "verify_path"]
