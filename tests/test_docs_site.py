"""The documentation as a site: every page is in its navigation, and it builds without a warning."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def test_every_page_is_in_the_navigation_once() -> None:
    listed = [page for section in CONFIG["nav"] for pages in section.values() for page in pages]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_the_site_is_searched_offline_and_loads_nothing_from_elsewhere() -> None:
    plugins: list[Any] = CONFIG["plugins"]
    assert {"search", "offline"} <= {name for name in plugins if isinstance(name, str)}
    assert CONFIG["theme"]["font"] is False and CONFIG["strict"] is True


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "open_run" in (tmp_path / "site" / "api.html").read_text("utf-8")
