"""The Python API: the example of the package's own text, and what it says where it refuses."""

import doctest
import inspect
import subprocess
import sys

import numpy as np
import pytest

import dsfactory as ds


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(ds, optionflags=doctest.ELLIPSIS)
    assert (found.failed, found.attempted > 4) == (0, True)
    run = ds.open_run("runs/example")
    (first, *_) = run.samples(stage="refine", kept=True)
    assert first.image.shape == (128, 128, 3)
    assert first.mask.shape == first.instances.shape == (128, 128)
    assert first.row["status"] == "ok"
    kept = [sample.key for sample in run.samples(stage="refine", kept=True)]
    ds.export(run, "coco", out="coco")
    back = {sample.key: sample for sample in ds.load("coco")}
    assert sorted(back) == kept
    assert np.array_equal(back[first.key].image, first.image)
    assert np.array_equal(back[first.key].mask == 1, first.mask == 1)
    assert back[first.key].split in ("train", "val")


def test_each_stage_that_is_a_command_is_a_function_with_its_settings():
    signature = inspect.signature(ds.refine)
    assert next(iter(signature.parameters)) == "run"
    assert {"threshold", "crf_iterations", "redo", "workers"} <= set(signature.parameters)
    assert {"classes", "num", "out", "steps", "style"} <= set(inspect.signature(ds.generate).parameters)
    assert "Denoising steps" in ds.generate.__doc__
    assert "prompts" not in dir(ds)
    with pytest.raises(TypeError, match="treshold"):
        ds.refine("runs/none", treshold=0.5)


def test_mistakes_are_errors_with_the_sentence_of_the_command(tmp_path):
    with pytest.raises(ds.UserError, match="is not there"):
        ds.open_run(tmp_path / "none")
    with pytest.raises(ds.UserError, match=r"generate\.steps"):
        ds.generate(classes=["dog"], steps=0, out=tmp_path / "a")
    with pytest.raises(ds.UserError, match="not an export"):
        list(ds.load(tmp_path))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ds.nothing  # noqa: B018
    assert not list(tmp_path.iterdir())


def test_importing_the_package_loads_nothing_heavy():
    line = "import sys, dsfactory; assert not {'torch', 'pyarrow', 'numpy', 'pydantic'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", line], check=True, timeout=60)
