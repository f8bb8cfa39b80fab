"""A tiny iconify package and caption file, so that the scripts are tested on real files without any download."""

import gzip
import json
from pathlib import Path

import pytest

DOG = '<rect x="4" y="8" width="24" height="12" fill="#a05a2c"/>'
BIRD = '<circle cx="16" cy="16" r="10" fill="#3060f0"/>'
ICONS = {
    "dog": DOG,
    "dog-face": DOG,
    "bird": BIRD,
    "duck": BIRD,
    "cat": '<path d="M2 30L16 2L30 30z" fill="#f0a020"/>',
}


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sticker packages `style-a` (all icons) and `style-b` (dog and bird only)."""
    root = tmp_path_factory.mktemp("packages")
    for style, names in (("style-a", ICONS), ("style-b", ("dog", "dog-face", "bird", "duck"))):
        (root / style).mkdir()
        package = {"prefix": style, "width": 32, "height": 32, "icons": {name: {"body": ICONS[name]} for name in names}}
        (root / style / "icons.json").write_text(json.dumps(package), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def caption_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gzipped JSON lines with captions of a dog, of a dog and a bird, and of neither."""
    path = tmp_path_factory.mktemp("captions") / "captions.jsonl.gz"
    captions = (
        "A puppy sleeping on a couch in the living room.",
        "Two dogs watch a seagull on the beach.",
        "A plate of food on a table.",
        "A man walks his dog down a snowy street at night.",
    )
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"id": n, "caption": text}) + "\n" for n, text in enumerate(captions))
    return path
