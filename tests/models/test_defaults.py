"""What a model is drawn with: by its preset, however it is named, else by what is known of it, else by its files."""

import json
import shutil

import pytest

from dsfactory.models.families import FAMILIES
from dsfactory.models.known import KNOWN
from dsfactory.models.locate import locate_model, resolve_name
from dsfactory.models.presets import PRESETS


def facts(path):
    found = locate_model(str(path)).defaults
    return found.steps, found.guidance


@pytest.mark.parametrize("preset", [item for item in PRESETS.values() if not item.bundled], ids=lambda item: item.name)
def test_a_hub_id_and_its_address_are_the_preset(preset):
    assert resolve_name(preset.source).preset is preset
    assert resolve_name(f"https://huggingface.co/{preset.source}").preset is preset


def test_what_is_known_is_plausible():
    assert not {item.source for item in PRESETS.values()} & set(KNOWN)
    for hub_id, item in KNOWN.items():
        assert resolve_name(hub_id).hub_id == hub_id and item.licence
        assert 1 <= item.defaults.steps <= 50 and 0 <= item.defaults.guidance <= 10 and item.defaults.width


@pytest.mark.parametrize("name", ["sdxl-turbo", "SDXL-Turbo"])
def test_a_clone_keeps_the_preset(model_folder, tmp_path, name):
    assert facts(shutil.copytree(model_folder("sdxl"), tmp_path / name)) == (4, 0.0)


def test_a_pipeline_that_was_saved_again_keeps_the_preset(copy):
    assert facts(copy) == (25, 7.5)
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"_name_or_path": "stabilityai/sdxl-turbo"}))
    assert facts(copy) == (4, 0.0)


def test_a_folder_of_a_hubs_cache_keeps_the_preset(model_folder, tmp_path):
    place = tmp_path / "models--stabilityai--sdxl-turbo" / "snapshots" / "0123"
    assert facts(shutil.copytree(model_folder("sdxl"), place)) == (4, 0.0)


def test_distilled_models_are_told_by_their_configuration(copy, model_folder):
    assert facts(model_folder("lcm")) == (4, 8.5)
    assert facts(model_folder("flux")) in ((28, 3.5), (4, 0.0))
    scheduler = copy / "scheduler" / "scheduler_config.json"
    config = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps(config | {"_class_name": "LCMScheduler"}))
    assert facts(copy) == (8, 1.5)
    turbo = {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}
    scheduler.write_text(json.dumps(config | turbo))
    assert facts(copy) == (4, 0.0)


def test_the_card_of_a_local_folder_does_not_count(copy):
    """It never did, and runs that were begun with such a folder are to go on."""
    (copy / "README.md").write_text("pipe(prompt, num_inference_steps=6, guidance_scale=1.5)")
    assert facts(copy) == (25, 7.5)


def test_every_family_is_served():
    assert {item.family for item in PRESETS.values()} == set(FAMILIES)
