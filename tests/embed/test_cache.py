"""The cache of features: made once, made again for what has changed, and of any network."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dsfactory.core.run import Run
from dsfactory.embed.cache import FeatureCache
from dsfactory.embed.network import embedder
from dsfactory.errors import UserError
from tests.stages.filter.scenes import draw_scene, make_run


def nothing(name: str, done: int, total: int) -> None:
    """No progress."""


def names(path: Path) -> dict[str, int]:
    return {item.name: item.stat().st_mtime_ns for item in sorted(path.rglob("*.safetensors"))}


def test_features_are_made_once_and_again_for_what_has_changed_or_is_damaged(tmp_path):
    run = Run.open(make_run(tmp_path / "a", [draw_scene(number) for number in range(6)], shard_size=4))
    first = FeatureCache(run, "generate").of_run(nothing)
    assert [len(one) for _, one in first.values()] == [4, 2]
    assert first["00000"][1].features.shape == (4, 496) and np.isfinite(first["00000"][1].features).all()
    before = names(tmp_path / "a/embed")
    (tmp_path / "a/embed/efficientnet-lite0/00001.safetensors").write_bytes(b"damaged")
    again = FeatureCache(run, "generate").of_run(nothing)
    assert all(np.array_equal(first[name][1].features, again[name][1].features) for name in first)
    after = names(tmp_path / "a/embed")
    assert before.keys() == after.keys() and before["00000.safetensors"] == after["00000.safetensors"]
    other = make_run(tmp_path / "b", [draw_scene(number + 9) for number in range(6)], shard_size=4)
    shutil.copytree(tmp_path / "a/embed", other / "embed")
    assert not np.array_equal(FeatureCache(Run.open(other), "generate").of_run(nothing)["00000"][1].features,
                              first["00000"][1].features)  # fmt: skip


def test_a_model_of_the_users_gives_features_and_a_wrong_folder_is_named(tmp_path):
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                              image_size=32, patch_size=16)  # fmt: skip
    CLIPVisionModel(config).save_pretrained(tmp_path / "clip")
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(tmp_path / "clip")
    assert embedder(str(tmp_path / "clip"))(draw_scene(0).image).shape == (16,)
    with pytest.raises(UserError, match="there is no image model nowhere"):
        embedder("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot be loaded"):
        embedder(str(tmp_path / "empty"))
