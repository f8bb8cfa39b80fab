import pytest

from dsfactory.errors import UserError
from dsfactory.models import locate, names
from dsfactory.models.families import FAMILIES
from dsfactory.models.inspect import check_model, list_models, model_identity
from dsfactory.models.locate import find_model, locate_model, resolve_name
from dsfactory.models.presets import PRESETS


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pockt", "there is no model 'pockt': did you mean 'pocket'"),
        ("SD15", "did you mean 'sd15'"),
        (
            "dall-e",
            "there is no model 'dall-e': use one of 'dsfactory models list', such as pocket or sd15, a hub id",
        ),
        ("", "there is no model ''"),
        ("x" * 500, "there is no model 'x"),
        ("./none", "--model ./none is not there: give the folder of a diffusers pipeline"),
        ("/no/such/folder", "--model /no/such/folder is not there"),
        ("../owner/name", "is not there"),
    ],
)
def test_names_that_mean_nothing(name, says):
    with pytest.raises(UserError, match=says) as caught:
        resolve_name(name)
    assert len(str(caught.value)) < 300


def test_an_empty_file_is_no_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged: delete"):
        locate_model(str(tmp_path / "model.safetensors"))


def test_presets_win_over_folders_and_folders_over_hub_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sd15").mkdir()
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert resolve_name("sd15").hub_id == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert resolve_name("./sd15").folder is not None
    assert resolve_name("owner/name").folder is not None
    assert resolve_name("owner/other").hub_id == "owner/other"


def test_a_folder_is_a_model(model_folder):
    model = locate_model(str(model_folder("sd")))
    assert (model.name, model.path, model.commit) == ("sd", model_folder("sd"), None)
    defaults = model.defaults
    assert (defaults.width, defaults.height, defaults.steps, defaults.guidance) == (64, 64, 25, 7.5)
    assert defaults.scheduler is None and defaults.negative_prompt is None


def test_the_place_of_a_folder_is_no_part_of_its_identity(copy, tmp_path):
    identity = model_identity(str(copy))
    assert identity["model"] == "copy"
    assert str(tmp_path) not in str(identity)
    (tmp_path / "deeper").mkdir()
    moved = copy.rename(tmp_path / "deeper" / "copy")
    assert model_identity(str(moved)) == identity


def test_a_revision_is_for_hub_models(model_folder):
    with pytest.raises(UserError, match=r"generate\.revision is for hub models"):
        find_model(str(model_folder("sd")), "main")


def test_without_leave_nothing_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(locate, "fetch", lambda *_: pytest.fail("asked the hub"))
    assert find_model("sd15") is None
    with pytest.raises(UserError, match="model sd15 is not on this machine: use --model pocket"):
        locate_model("sd15", allow_download=False)


def test_a_copy_without_the_bundled_model_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(names, "BUNDLED", tmp_path)
    with pytest.raises(UserError, match="the pocket model did not come with this copy"):
        find_model("pocket")
    assert check_model("pocket").ready is False


def test_the_list_has_every_preset_and_asks_nobody(monkeypatch):
    monkeypatch.setattr(locate, "fetch", lambda *_: pytest.fail("asked the hub"))
    reports = list_models()
    assert [report.name for report in reports] == list(PRESETS)
    assert all(report.licence and report.draws and report.family in FAMILIES for report in reports)
    assert all(report.size_mb for report in reports if not PRESETS[report.name].bundled)


def test_a_report_names_what_is_missing_and_what_is_refused(copy):
    ready = check_model(str(copy))
    assert ready.ready and ready.missing == () and ready.family == "sd" and ready.size_mb is not None
    assert ready.as_json()["path"] == str(copy)
    (copy / "vae/diffusion_pytorch_model.safetensors").rename(copy / "vae/diffusion_pytorch_model.bin")
    report = check_model(str(copy))
    assert not report.ready
    assert report.missing == ("vae/diffusion_pytorch_model.safetensors",)
    assert report.pickled == ("vae/diffusion_pytorch_model.bin",)
