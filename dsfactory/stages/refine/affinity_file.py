"""The affinity network of a run as a file beside its masks."""

import hashlib
from pathlib import Path

FILE = "net.safetensors"
"""The trained network, in the run's refine folder."""

TRAINING = "net.training.safetensors"
"""What an interrupted training goes on from, in the same folder."""

NOTE = "net.json"
"""What the network was made of: its training's fingerprint."""


def net_digest(path: Path) -> str:
    """SHA-256 of a network's file, 32 hex digits; empty when there is none yet."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
