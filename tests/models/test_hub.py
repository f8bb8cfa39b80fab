"""Models from a hub: real requests to a hub on this machine, with a cache of its own."""

import pytest
from safetensors.torch import load_file, save_file

from dsfactory.errors import UserError
from dsfactory.models import fetch
from dsfactory.models.inspect import check_model
from dsfactory.models.locate import locate_model
from dsfactory.models.vae import find_vae, locate_vae, vae_digest
from tests.models.hub import COMMIT, serve

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and short waits between tries."""
    home = tmp_path / "hf"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(fetch, "WAITS_S", (0.05, 0.05, 0.1))
    monkeypatch.setattr(fetch, "NOTE_FROM_S", 0.0)
    return home


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


@pytest.fixture
def hub(published, cache, monkeypatch):
    with serve({"owner/model": published}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_model_is_fetched_once_and_only_what_loading_needs(hub, capsys):
    model = locate_model("owner/model")
    assert model.identity() == {"model": "owner/model", "commit": COMMIT}
    assert (model.name, model.layout.variant) == ("owner/model", "fp16")
    assert "Fetching model owner/model" in capsys.readouterr().err
    got = set(hub.fetched)
    hub.asked.clear()
    again = locate_model("owner/model")
    assert hub.asked == [] and again.identity() == model.identity() and capsys.readouterr().err == ""
    assert {name for name in got if name.endswith((".bin", ".ckpt"))} == set()
    assert {name for name in got if "safetensors" in name} == {
        f"{part}/{name}.fp16.safetensors"
        for part, name in (
            ("unet", "diffusion_pytorch_model"),
            ("vae", "diffusion_pytorch_model"),
            ("text_encoder", "model"),
        )
    }


def test_an_autoencoder_is_fetched_once(published, cache, monkeypatch):
    with serve({"owner/vae": published / "vae"}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert find_vae("owner/vae") is None
        folder = locate_vae("owner/vae")
        assert {path.name for path in folder.iterdir()} == {"config.json", "diffusion_pytorch_model.safetensors"}
        hub.asked.clear()
        assert locate_vae("owner/vae") == folder and hub.asked == []
    assert len(vae_digest(folder)) == 32


def test_a_cached_model_needs_no_hub_and_draws(hub, monkeypatch):
    from dsfactory.models.loading import load_pipeline

    locate_model("owner/model")
    hub.asked.clear()
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert load_pipeline("owner/model", "cpu")("a dog", num_inference_steps=1).images[0].size == (64, 64)
    assert check_model("owner/model").ready and hub.asked == []


def test_pickled_weights_are_refused_before_they_are_fetched(copy, hub):
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (copy / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    with pytest.raises(UserError, match=r"unet/diffusion_pytorch_model.bin but no safetensors: pickled"):
        locate_model("owner/model")
    assert hub.fetched == ["model_index.json"]


def test_a_download_that_broke_off_goes_on(hub, cache):
    model = locate_model("owner/model")
    snapshot = next(cache.rglob("unet/diffusion_pytorch_model.fp16.safetensors"))
    blob = snapshot.resolve()
    snapshot.unlink()
    blob.unlink()
    hub.fetched.clear()
    again = locate_model("owner/model")
    assert hub.fetched == ["unet/diffusion_pytorch_model.fp16.safetensors"]
    assert again.identity() == model.identity()


def test_a_folder_that_is_no_pipeline(hub, published):
    (published / "model_index.json").unlink()
    with pytest.raises(
        UserError, match=r"^model owner/model is not a diffusers pipeline: it has no model_index\.json$"
    ):
        locate_model("owner/model")


def test_no_space_is_said_before_the_download(tmp_path):
    import shutil

    from dsfactory.models.hub_child import _require_space

    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(UserError, match=r"model sd15 needs .* GB and the disk of .* has"):
        _require_space(tmp_path / "deep" / "er", free + 10**9, "sd15")
    _require_space(tmp_path, 1000, "sd15")


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("https://huggingface.co/owner/model", None),
        ("https://huggingface.co/owner/model/", None),
        ("huggingface.co/owner/model/tree/main", None),
        (f"https://hf.co/owner/model/tree/{COMMIT}?x=1#readme", None),
    ],
)
def test_a_pasted_address_is_a_model(hub, name, revision):
    assert locate_model(name).identity() == {"model": "owner/model", "commit": COMMIT}


def test_the_revision_of_an_address_counts(hub):
    with pytest.raises(UserError, match="model owner/model has no revision 'v9'"):
        locate_model("https://huggingface.co/owner/model/tree/v9")


def test_the_card_of_an_unknown_model_says_how_it_is_drawn_with(hub, published):
    (published / "README.md").write_text("```py\npipe(prompt, num_inference_steps=6, guidance_scale=1.5)\n```\n")
    defaults = locate_model("owner/model").defaults
    assert (defaults.steps, defaults.guidance, defaults.width) == (6, 1.5, 64)
