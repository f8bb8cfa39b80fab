"""The tutorial, run as it is written: every command in order."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.tutorial_figures import stated

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tutorial.md"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm fetches the test pictures")
def test_the_tutorial_holds(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    for line in "".join(re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).splitlines():
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr[-500:]}"
    results = json.loads((tmp_path / "runs/tutorial/evaluate/results.json").read_text("utf-8"))
    assert results["val_images"] == 50
    assert 0 < results["miou_synthetic"] < results["miou_real"]
    said = stated(text)
    if said is not None:
        assert abs(results["miou_synthetic"] - said.miou) <= said.spread, results["miou_synthetic"]
