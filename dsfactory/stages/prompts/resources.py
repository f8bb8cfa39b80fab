"""Where the bundled corpora and word lists are: beside the package in a checkout, inside it when installed."""

from pathlib import Path

_INSTALLED = Path(__file__).parent / "data"
_CHECKOUT = Path(__file__).parents[3] / "prompts"


def data_file(name: str) -> Path:
    """Path of a bundled data file, e.g. ``"stop_words.txt"``."""
    return (_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT) / name
