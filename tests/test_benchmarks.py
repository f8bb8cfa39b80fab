"""The benchmarks themselves at tiny size: that they run, measure all arms, and write what they print."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from dsfactory.core.run import Run
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.threshold import CLOSE
from tests.stages.refine.scenes import draw_scene

CORE = min(os.sched_getaffinity(0))


@pytest.fixture
def bench(monkeypatch, tmp_path, capsys):
    """Run ``benchmarks.NAME`` with arguments; its JSON and what it printed."""

    def call(name, *arguments, **replaced):
        module = import_module(f"benchmarks.{name}")
        for attribute, value in replaced.items():
            monkeypatch.setattr(module, attribute, value)
        out = tmp_path / f"{name}.json"
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments), "--json", str(out)])
        module.main()
        result = json.loads(out.read_text())
        assert result["machine"]["cpu"] and result["settings"]
        return result, capsys.readouterr().out

    return call


@pytest.fixture
def tiny_pipeline(tiny_model):
    from dsfactory.models.loading import load_pipeline

    return lambda dtype, device: load_pipeline(str(tiny_model), "cpu", "fp32")


@pytest.mark.long
def test_the_chain_beside_the_bare_pipeline(bench, tiny_pipeline):
    result, printed = bench(
        "chain", "--size", 64, "--steps", 2, "--images", 2, "--pairs", 2, "--refine-core", CORE, CORE,
        stable_diffusion_15=tiny_pipeline,
    )  # fmt: skip
    assert result["ratio"]["min"] > 0 and result["seconds"]["bare"]["min"] > 0
    assert 0 < result["tail_seconds"]["max"] < result["seconds"]["chain"]["max"]
    assert "chain ÷ bare" in printed and f"refining on core {CORE},{CORE}" in printed


def test_storing_everything_beside_ours(bench, tiny_pipeline):
    result, printed = bench("naive", "--size", 64, "--steps", 2, "--turns", 1, stable_diffusion_15=tiny_pipeline)
    arms = result["arms"]
    assert arms["bare"]["kept_bytes"] == 0
    assert arms["naive"]["kept_bytes"] > 10 * arms["ours"]["kept_bytes"] > 0
    assert arms["ours"]["largest_pixel_difference"] == 0
    assert "naive" in printed


@pytest.mark.slow  # four commands, each of which loads everything
def test_one_worker_beside_two(bench, tiny_model):
    flags = "--flags=--width 64 --height 64 --steps 1"
    result, printed = bench("workers", "--model", tiny_model, "--num", 2, "--shard-size", 2, "--pairs", 1, flags)
    drawing, command = result["seconds"]["drawing"], result["seconds"]["command"]
    assert all(0 < drawing[arm]["median"] < command[arm]["median"] for arm in drawing)
    assert list(drawing) == ["one worker", "two workers", "two commands"]
    assert result["speedup"]["drawing"]["median"] > 0 and result["machine_speedup"]["drawing"]["median"] > 0
    assert "goal ≥ 1.8" in printed and "know nothing of each other" in printed


def test_the_mask_stage_beside_the_sweep(bench):
    result, printed = bench("masks", "--size", 64, "--pictures", 1)
    seconds = result["seconds_per_scene"]
    assert 0 < seconds["quick"] < seconds["whole_stage"]
    assert 0 < result["stage_over_sweep"] < 1 and 0 <= result["same_choice"] <= result["within_0.01"] <= 1
    assert "stage ÷ sweep" in printed


def test_small_images_get_the_choice_of_the_exhaustive_sweep():
    from benchmarks.masks import Picture, measure

    drawn = [draw_scene(seed, 1 + seed, (64, 64), noise=0.6) for seed in range(2)]
    figures = measure([Picture(one.image) for one in drawn], [Evidence(one.cross, one.affinity) for one in drawn])
    assert (figures["scenes"], figures["choices"]) == (2, 3)
    assert figures["same_choice"] == figures["within_0.01"] == 1.0
    assert figures["agreement_lost_most"] <= CLOSE  # candidates that fall short by less have a say
    assert figures["seconds_per_scene"]["quick"] < figures["seconds_per_scene"]["exhaustive"]


def test_our_crf_beside_pydensecrf(bench):
    pytest.importorskip("pydensecrf")
    result, printed = bench("crf", "--size", 64, "--labels", 2, 3, "--pictures", 1, "--pairs", 1)
    assert [row["labels"] for row in result["crf"]] == [2, 3]
    assert all(row["ratio"]["min"] > 0 and row["mean_iou"] > 0.95 for row in result["crf"])
    assert "ours ÷ pydensecrf" in printed


@pytest.mark.slow
def test_what_an_image_costs(bench):
    sizes = ["--images", 4, "--classes", 1, "--objects", "1", "--sides", 64, "--side", 64, "--steps", 1]
    result, printed = bench("cost", *sizes)
    rows = [row for curve in result["curves"].values() for row in curve]
    assert len(rows) == 4
    assert all(row["cpu_seconds"] > 0.5 and row["bytes_per_image"] > 1000 for row in rows)
    assert "as resolution grow" in printed


def test_the_plot_shows_the_results_that_are_there(tmp_path):
    from benchmarks.plot import plot

    names = plot(Path(__file__).parents[1] / "docs/figures", tmp_path / "plot.png")
    assert "capture" in names
    assert Image.open(tmp_path / "plot.png").width > 500
    with pytest.raises(SystemExit, match="no benchmark's result"):
        plot(tmp_path, tmp_path / "none.png")


@pytest.mark.long
def test_exports_of_growing_size(bench, tmp_path):
    result, printed = bench("export", "--samples", 40, 120, "--side", 32, "--formats", "coco", "--work", tmp_path)
    assert [row["samples"] for row in result["exports"]] == [40, 120]
    assert all(row["per_second"] > 0 and row["peak_mb"] >= row["base_mb"] > 10 for row in result["exports"])
    assert "120 samples  coco" in printed


def test_a_large_run_has_every_sample_once(tmp_path):
    from benchmarks.synthetic import SCENES, write_large_run

    write_large_run(tmp_path / "run", SCENES + 20, side=32, shard_size=50)
    run = Run.open(tmp_path / "run")
    records = [record for spec in run.shards() for record in run.reader("refine", spec).records()]
    assert [record.row["number"] for record in records] == list(range(SCENES + 20))
    assert records[3].files == records[SCENES + 3].files != records[4].files
