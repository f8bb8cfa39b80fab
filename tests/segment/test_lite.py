"""EfficientNet-Lite0 that comes with dsfactory."""

import pytest
import torch
from safetensors.torch import load_file

from dsfactory.segment.config import BUNDLED, SegmentConfig
from dsfactory.segment.lite import FEATURES, MEAN, WEIGHTS, LiteBackbone, SameConv
from dsfactory.segment.network import build_segmenter
from dsfactory.segment.train import train_segmenter
from tests.segment.shapes import shape_pairs


@pytest.mark.parametrize("side", [64, 97])
def test_maps_of_the_backbone_are_a_quarter_to_a_thirty_second(side):
    maps = LiteBackbone().eval()(torch.zeros(1, 3, side, side))
    assert [part.shape[1] for part in maps] == list(FEATURES)
    assert [part.shape[-1] for part in maps] == [-(-side // by) for by in (4, 8, 16, 32)]


@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 1, 6), (3, 2, 6), (3, 2, 7), (5, 2, 6), (1, 1, 5)])
def test_padding_is_that_of_tensorflow(kernel, stride, side):
    conv = SameConv(1, 1, kernel, stride, bias=False)
    torch.nn.init.ones_(conv.weight)
    missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    before = missing // 2
    counts = [sum(0 <= at * stride - before + k < side for k in range(kernel)) for at in range(-(-side // stride))]
    expected = torch.tensor([[float(y * x) for x in counts] for y in counts])
    assert torch.equal(conv(torch.ones(1, 1, side, side))[0, 0], expected)


def test_an_oblong_picture_is_padded_on_either_axis_by_what_that_one_needs():
    conv = SameConv(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    rows, columns = torch.tensor([3.0, 3, 2]), torch.tensor([2.0, 3, 3, 2])  # 6: one pixel below; 7: one on each side
    assert torch.equal(conv(torch.ones(1, 1, 6, 7))[0, 0], rows[:, None] * columns)


def test_the_network_begins_with_the_weights_and_a_head_of_the_seed():
    config = SegmentConfig(checkpoint=BUNDLED, side=64)
    first, same, other = (build_segmenter(3, config, seed) for seed in (0, 0, 1))
    stored = load_file(WEIGHTS)
    backbone = first.network.backbone.state_dict()
    assert stored.keys() == backbone.keys()
    assert all(torch.equal(value.float(), backbone[name].float()) for name, value in stored.items())
    heads = [model.network.head.state_dict() for model in (first, same, other)]
    assert all(torch.equal(value, heads[1][name]) for name, value in heads[0].items())
    assert any(not torch.equal(value, heads[2][name]) for name, value in heads[0].items())
    assert first(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 3, 16, 16)
    assert first.mean.flatten().tolist() == pytest.approx(MEAN)


def test_all_of_it_trains_at_its_own_rate():
    config = SegmentConfig(checkpoint=BUNDLED, side=64, steps=3, batch_size=2)
    assert (config.peak_rate, SegmentConfig(checkpoint="x").peak_rate, SegmentConfig().peak_rate) == (1e-3, 6e-5, 2e-3)
    assert SegmentConfig(checkpoint=BUNDLED, learning_rate=0.1).peak_rate == 0.1
    model = build_segmenter(3, config, 0)
    before = [value.clone() for value in model.parameters()]
    train_segmenter(model, shape_pairs(3), config, 0)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
