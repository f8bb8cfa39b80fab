"""Models from a hub: real requests to a hub on this machine, in a process with a cache of its own."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from tests.models.hub import COMMIT, serve

NOWHERE = "http://127.0.0.1:9"


def locate(endpoint, cache, name, *, code="", **environment):
    """What ``locate_model`` says in a fresh process: its result or its error, and the time it took."""
    script = (
        "import json, sys, time\n"
        "from dsfactory.errors import UserError\n"
        "from dsfactory.models.inspect import check_model, model_identity\n"
        "from dsfactory.models.locate import locate_model\n"
        "start = time.monotonic()\n"
        "try:\n"
        f"    model = locate_model({name!r})\n"
        "    said = {'identity': model.identity(), 'name': model.name, 'path': str(model.path)}\n"
        f"    {code or 'pass'}\n"
        "except UserError as error:\n"
        "    said = {'error': str(error)}\n"
        "print(json.dumps({**said, 'seconds': time.monotonic() - start}))"
    )
    known = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", **environment}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=known, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def published(copy):
    """A hub's folder with what such folders hold besides: half-precision and pickled weights and more."""
    for path in list(copy.rglob("*.safetensors")):
        half = {name: weight.half() for name, weight in load_file(path).items()}
        save_file(half, path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")), {"format": "pt"})
        path.with_suffix(".bin").write_bytes(b"\x80\x04pickle")
    (copy / "README.md").write_text("a model card")
    (copy / "v1-5-pruned.ckpt").write_bytes(b"\x80\x04pickle")
    return copy


def test_a_model_is_fetched_once_and_only_what_loading_needs(published, tmp_path):
    with serve({"owner/model": published}) as (endpoint, fetched):
        said = locate(endpoint, tmp_path / "hf", "owner/model")
        assert said["identity"] == {"model": "owner/model", "commit": COMMIT, "variant": "fp16"}
        assert said["name"] == "owner/model"
        assert "Fetching model owner/model" in said["stderr"]
        got = set(fetched)
        fetched.clear()
        again = locate(endpoint, tmp_path / "hf", "owner/model")
        assert fetched == [] and again["identity"] == said["identity"] and "Fetching" not in again["stderr"]
    assert {name for name in got if name.endswith((".bin", ".ckpt", ".md"))} == set()
    assert {name for name in got if "safetensors" in name} == {
        f"{part}/{name}.fp16.safetensors"
        for part, name in (
            ("unet", "diffusion_pytorch_model"),
            ("vae", "diffusion_pytorch_model"),
            ("text_encoder", "model"),
        )
    }


def test_a_cached_model_needs_no_hub_and_draws(published, tmp_path):
    with serve({"owner/model": published}) as (endpoint, _):
        locate(endpoint, tmp_path / "hf", "owner/model")
    draws = (
        "from dsfactory.models.loading import load_pipeline; pipeline = load_pipeline('owner/model', 'cpu'); "
        "said['image'] = pipeline('a dog', num_inference_steps=1).images[0].size; "
        "said['ready'] = check_model('owner/model').ready"
    )
    said = locate(NOWHERE, tmp_path / "hf", "owner/model", code=draws)
    assert said["image"] == [64, 64] and said["ready"] is True


def test_pickled_weights_are_refused_before_they_are_fetched(copy, tmp_path):
    (copy / "unet" / "diffusion_pytorch_model.safetensors").rename(copy / "unet" / "diffusion_pytorch_model.bin")
    with serve({"owner/model": copy}) as (endpoint, fetched):
        said = locate(endpoint, tmp_path / "hf", "owner/model")
    assert "unet/diffusion_pytorch_model.bin" in said["error"] and "pickled" in said["error"]
    assert fetched == ["model_index.json"]


@pytest.mark.parametrize("name", ["sd15", "owner/model"])
def test_a_hub_out_of_reach_is_one_quick_line_with_two_ways_on(tmp_path, name):
    said = locate(NOWHERE, tmp_path / "hf", name)
    assert said["error"] == (
        f"model {name} is not on this machine and the model hub cannot be reached: "
        "use --model pocket, which comes with dsfactory, or --model FOLDER with a diffusers pipeline"
    )
    assert said["seconds"] < 10


def test_offline_mode_is_respected(published, tmp_path):
    with serve({"owner/model": published}) as (endpoint, fetched):
        said = locate(endpoint, tmp_path / "hf", "owner/model", HF_HUB_OFFLINE="1")
    assert "cannot be reached" in said["error"] and fetched == []


def test_a_model_that_the_hub_does_not_have(tmp_path):
    with serve({}) as (endpoint, _):
        said = locate(endpoint, tmp_path / "hf", "owner/model")
    assert said["error"].startswith("the hub has no model owner/model (or it is private: run 'hf auth login')")


def test_a_download_that_broke_off_goes_on(published, tmp_path):
    with serve({"owner/model": published}) as (endpoint, fetched):
        said = locate(endpoint, tmp_path / "hf", "owner/model")
        snapshot = next((tmp_path / "hf").rglob("unet/diffusion_pytorch_model.fp16.safetensors"))
        blob = snapshot.resolve()
        snapshot.unlink()
        blob.unlink()
        fetched.clear()
        again = locate(endpoint, tmp_path / "hf", "owner/model")
    assert fetched == ["unet/diffusion_pytorch_model.fp16.safetensors"]
    assert again["identity"] == said["identity"]


def test_a_folder_that_is_no_pipeline(published, tmp_path):
    (published / "model_index.json").unlink()
    with serve({"owner/model": published}) as (endpoint, _):
        said = locate(endpoint, tmp_path / "hf", "owner/model")
    assert said["error"] == "model owner/model is not a diffusers pipeline: it has no model_index.json"


def test_no_space_is_said_before_the_download(tmp_path):
    from dsfactory.errors import UserError
    from dsfactory.models.locate import _require_space

    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(UserError, match=r"model sd15 needs .* GB and the model cache's disk has"):
        _require_space(tmp_path, free + 10**9, "sd15")
    _require_space(tmp_path, 1000, "sd15")
