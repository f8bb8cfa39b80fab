"""Checkpoints of the user's, made by transformers itself."""

import json

import pytest
import torch
from transformers import BertConfig, BertModel, SegformerConfig, SegformerForSemanticSegmentation

from dsfactory.errors import UserError
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.network import MEAN, build_segmenter
from dsfactory.segment.train import train_segmenter
from tests.segment.shapes import shape_pairs


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny SegFormer of seven labels, as another project would save it."""
    torch.manual_seed(0)
    config = SegformerConfig(
        num_labels=7, depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("segformer")
    SegformerForSemanticSegmentation(config).save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    return path


def test_a_checkpoint_gets_a_head_for_our_labels_and_keeps_its_weights(checkpoint):
    model = build_segmenter(3, SegmentConfig(checkpoint=str(checkpoint), side=64), 0)
    saved = SegformerForSemanticSegmentation.from_pretrained(checkpoint)
    assert model(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape[:2] == (2, 3)
    own = {name: value for name, value in model.network.state_dict().items() if name.startswith("segformer.")}
    assert own and all(torch.equal(value, own[name]) for name, value in saved.state_dict().items() if name in own)
    assert model.mean.flatten().tolist() == [0.5] * 3 and model.std.flatten().tolist() == [0.25] * 3


def test_a_checkpoint_without_preprocessing_is_taken_as_trained_on_imagenet(checkpoint, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    model = build_segmenter(3, SegmentConfig(checkpoint=str(tmp_path), side=64), 0)
    assert model.mean.flatten().tolist() == pytest.approx(MEAN)


def test_a_checkpoint_trains(checkpoint):
    config = SegmentConfig(checkpoint=str(checkpoint), side=64, steps=2, batch_size=2)
    model = build_segmenter(3, config, 0)
    before = [value.clone() for value in model.parameters()]
    train_segmenter(model, shape_pairs(3), config, 0)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_the_new_head_depends_on_the_seed_alone(checkpoint):
    config = SegmentConfig(checkpoint=str(checkpoint), side=64)
    first, second, other = (build_segmenter(3, config, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_pickled_weights_are_refused(checkpoint, tmp_path):
    (tmp_path / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    torch.save(
        SegformerForSemanticSegmentation.from_pretrained(checkpoint).state_dict(), tmp_path / "pytorch_model.bin"
    )
    with pytest.raises(UserError, match="cannot be loaded"):
        build_segmenter(3, SegmentConfig(checkpoint=str(tmp_path)), 0)


def test_a_folder_that_is_no_segmenter_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        build_segmenter(3, SegmentConfig(checkpoint=str(tmp_path)), 0)
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=10)
    ).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="cannot be loaded"):
        build_segmenter(3, SegmentConfig(checkpoint=str(tmp_path)), 0)


def test_damaged_weights_are_refused(checkpoint, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes()[:-500])
    (tmp_path / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    with pytest.raises(UserError, match="cannot be loaded"):
        build_segmenter(3, SegmentConfig(checkpoint=str(tmp_path)), 0)
