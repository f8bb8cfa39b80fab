"""The accelerators' way to read attention, on the CPU: the kernels have the same meaning there."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode

from dsfactory.stages.generate.attention import AttentionCapture
from dsfactory.stages.generate.fused import MOST_LAYERS, VALUE, FusedReads, fused_token_probabilities, weights_as_values
from dsfactory.stages.generate.probabilities import token_probabilities
from dsfactory.stages.generate.query import ClassQuery


def make_layer(number, positions, width, dtype, images=2):
    generator = torch.Generator().manual_seed(number)
    query = (torch.randn(images, positions, width, generator=generator) * 2).to(dtype)
    return query, torch.randn(images, 77, width, generator=generator).to(dtype)


def make_weights(classes=3):
    weights = torch.zeros(2, 77, classes)
    weights[0, [5, 6], 0] = 0.5
    weights[1, [70, 71, 72], classes - 1] = 1 / 3
    return weights


@pytest.mark.parametrize(("positions", "heads", "width"), [(32 * 32, 8, 320), (64, 2, 16)])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2**-7), (torch.float16, 2**-10)])
def test_the_kernel_says_the_same_to_its_rounding(positions, heads, width, dtype, rounding):
    query, key = make_layer(0, positions, width, dtype)
    weights = make_weights(classes=10)  # more than the small heads are deep
    scale = (width // heads) ** -0.5
    values = weights_as_values(weights, heads, width // heads, dtype)
    found = fused_token_probabilities(query, key, values, heads, scale, 10) / VALUE
    exact = token_probabilities(query, key, weights, heads, scale)
    assert found.dtype == torch.float32 and found.shape == exact.shape
    torch.testing.assert_close(found, exact, rtol=2 * rounding, atol=1e-6)
    assert found[0, :, 1:].abs().max() == 0


@pytest.mark.parametrize("layers", [1, 3, 20])
@pytest.mark.parametrize("most", [0, 50_000, 2**27])
@pytest.mark.parametrize("mask", [None, torch.arange(77) < torch.tensor([[20], [77]])], ids=["all", "masked"])
def test_layers_that_waited_for_each_other_add_up(layers, most, mask, monkeypatch):
    """Layers of two shapes in turns, as a UNet has them; each shape has its own sum, however many wait."""
    monkeypatch.setattr("dsfactory.stages.generate.fused.MOST_WAITING", most)
    weights = make_weights()
    reads = FusedReads(weights, mask)
    shapes = {64: (2, 32), 16: (4, 64)}
    sums = {positions: torch.zeros(2, positions, 3) for positions in shapes}
    expected = {positions: torch.zeros(2, positions, 3) for positions in shapes}
    for number in range(layers):
        for positions, (heads, width) in shapes.items():
            query, key = make_layer(number, positions, width, torch.bfloat16)
            scale = (width // heads) ** -0.5
            reads.add(sums[positions], query, key, heads, scale)
            expected[positions] += token_probabilities(query, key, weights, heads, scale, mask)
    reads.finish()
    for positions, total in expected.items():
        torch.testing.assert_close(sums[positions], total, rtol=0.02, atol=1e-5)
    before = {positions: total.clone() for positions, total in sums.items()}
    reads.finish()
    assert all(torch.equal(sums[positions], total) for positions, total in before.items())  # nothing is read twice


class CountOperations(TorchDispatchMode):
    """Counts what would be kernels on an accelerator: all operations that make a tensor of their own."""

    count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += not operation.is_view
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("most", [2**27, 0])
def test_drawing_grows_by_few_operations(most, monkeypatch):
    """Accelerators wait for operations to be started: layers are read many at a time, over steps, as memory allows."""
    monkeypatch.setattr("dsfactory.stages.generate.fused.MOST_WAITING", most)
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64, 64, 64), cross_attention_dim=32, attention_head_dim=2
    ).to(torch.bfloat16)
    asked = ClassQuery((1,), make_weights(1)[:1])
    capture = AttentionCapture(unet, asked)
    capture._fused = FusedReads(asked.weights)

    steps = 16 if most else 2

    def draw(count):
        with torch.no_grad():
            for _ in range(count):
                unet(torch.zeros(2, 4, 8, 8).bfloat16(), 5, torch.zeros(2, 77, 32).bfloat16())

    with CountOperations() as bare:
        draw(1)
    with capture, CountOperations() as captured:
        draw(steps)
        capture.maps()
    assert sum(name.endswith(".attn2") for name, _ in unet.named_modules()) == 16
    growth = captured.count / (steps * bare.count) - 1
    assert 0 < growth < 0.01 if most else growth > 0.05


def test_what_waits_stays_within_its_memory(monkeypatch):
    """The half for guidance is kept with the half that is read, so it counts."""
    most = 5 * 2 * (4 * 64 * 32 + 4 * 77 * 32)  # five pairs of two bytes a number
    monkeypatch.setattr("dsfactory.stages.generate.fused.MOST_WAITING", most)
    reads = FusedReads(make_weights())
    sums = {positions: torch.zeros(2, positions, 3) for positions in (64, 16)}
    kept = 0
    for number in range(40):
        for positions, total in sums.items():
            query, key = make_layer(number, positions, 32, torch.bfloat16, images=4)
            reads.add(total, query[-2:], key[-2:], 2, 0.25)
            waiting = [tensor for each in reads._waiting.values() for tensor in (*each.queries, *each.keys)]
            kept = max(kept, sum(tensor.untyped_storage().nbytes() for tensor in waiting))
            assert kept <= most
    assert kept > most / 2


def test_layers_are_read_as_soon_as_there_are_enough():
    reads = FusedReads(make_weights())
    total = torch.zeros(2, 64, 3)
    for number in range(MOST_LAYERS):
        assert not total.any()
        reads.add(total, *make_layer(number, 64, 32, torch.bfloat16), 2, 0.25)
    assert total.any() and not reads._waiting
