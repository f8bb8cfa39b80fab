"""The benchmark itself, on a tiny model: that it runs, measures both arms and prints every figure."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "capture.py"


@pytest.mark.parametrize("flags", [[], ["--affinity", "--batch-size", "2"]])
def test_capture_benchmark(load, monkeypatch, tmp_path, capsys, flags):
    spec = importlib.util.spec_from_file_location("capture_benchmark", SCRIPT)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.setattr(benchmark, "stable_diffusion_15", lambda dtype, device: load("sd"))
    out = tmp_path / "result.json"
    arguments = ["--size", "64", "--steps", "2", "--pairs", "2", "--device", "cpu", "--json", str(out), *flags]
    monkeypatch.setattr(sys, "argv", ["capture.py", *arguments])
    benchmark.main()
    result = json.loads(out.read_text())
    assert result["ratio"]["min"] <= result["ratio"]["median"] <= result["ratio"]["max"]
    assert result["seconds"]["bare"]["min"] > 0
    assert 0 < result["capture_share"] < 1
    assert result["evidence_bytes_per_image"] > 100
    printed = capsys.readouterr().out
    assert "capture ÷ bare" in printed and "own share of the time" in printed and result["machine"]["cpu"] in printed
