"""The benchmarks of capture, on tiny models: that they run, measure both arms and print every figure."""

import json
import sys

import pytest

from benchmarks import capture, memory
from benchmarks.models import Family


@pytest.fixture
def run(load, monkeypatch, tmp_path, capsys):
    """Call a benchmark with small images of a tiny model; its JSON and what it printed."""

    def call(benchmark, *flags, model="sd"):
        family = Family("a tiny model", lambda dtype, device: load(model))
        monkeypatch.setitem(benchmark.FAMILIES, "sd15", family)
        out = tmp_path / "result.json"
        arguments = ["--size", "64", "--steps", "2", "--device", "cpu", "--json", str(out), *flags]
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        benchmark.main()
        printed = capsys.readouterr().out
        result = json.loads(out.read_text())
        assert result["machine"]["cpu"] in printed and "a tiny model" in printed
        return result, printed

    return call


@pytest.mark.parametrize("flags", [[], ["--affinity", "--batch-size", "2"]])
def test_time(run, flags):
    result, printed = run(capture, "--pairs", "2", *flags)
    assert result["ratio"]["min"] <= result["ratio"]["median"] <= result["ratio"]["max"]
    assert result["seconds"]["bare"]["min"] > 0
    assert 0 < result["capture_share"] < 1
    assert result["evidence_bytes_per_image"] > 100
    assert "capture ÷ bare" in printed and "own share of the time" in printed


@pytest.mark.parametrize("model", ["sdxl", "sd3", "flux"])
def test_time_of_other_families(run, model):
    result, _ = run(capture, "--pairs", "1", model=model)
    assert result["seconds"]["bare"]["min"] > 0 and result["evidence_bytes_per_image"] > 100


@pytest.mark.parametrize("arm", memory.ARMS)
def test_memory(load, monkeypatch, capsys, arm):
    monkeypatch.setitem(memory.FAMILIES, "sd15", Family("a tiny model", lambda dtype, device: load("sd")))
    monkeypatch.setattr(sys, "argv", ["memory", "--size", "64", "--device", "cpu", "--once", arm])
    memory.main()
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["loaded_mb"] <= found["peak_mb"]
