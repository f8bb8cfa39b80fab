"""The tables name tests that exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["docs/reliability.md", "SECURITY.md"])
def test_every_named_test_is_there(document):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / document).read_text("utf-8"))
    assert len(named) > 15
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == []


@pytest.mark.parametrize("document", ["docs/reliability.md", "SECURITY.md"])
def test_every_row_has_its_proof(document):
    rows = [line for line in (ROOT / document).read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [row for row in rows[1:] if "`tests/" not in row] == []


def test_the_reports_that_the_page_links_found_nothing():
    figures = ROOT / "docs" / "figures"
    crash = json.loads((figures / "crash.json").read_text("utf-8"))
    assert (crash["differences"], crash["samples_lost"]) == ([], 0)
    assert crash["total_kills"] == sum(sum(by_way.values()) for by_way in crash["kills"].values())
    fuzz = json.loads((figures / "fuzz.json").read_text("utf-8"))
    assert (fuzz["tracebacks"], fuzz["inputs"]) == (0, sum(fuzz["by_target"].values()))
