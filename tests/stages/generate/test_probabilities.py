import pytest
import torch

from dsfactory.stages.generate.probabilities import (
    add_self_attention,
    attention_grid,
    fuse_grids,
    spread,
    token_probabilities,
)


def full_softmax(query, key, heads):
    """Attention as the textbook has it: (images, heads, positions, keys)."""
    images, _, width = query.shape
    query, key = (part.float().view(images, -1, heads, width // heads).transpose(1, 2) for part in (query, key))
    return torch.softmax(query @ key.transpose(2, 3) / (width // heads) ** 0.5, dim=-1)


# Stable Diffusion 1.5's largest layer, 2.1's at 768², XL's: several chunks each.
@pytest.mark.parametrize(
    ("positions", "heads", "width"), [(64 * 64, 8, 320), (48 * 48, 10, 640), (32 * 32, 20, 1280), (96, 2, 16)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_token_probabilities_equal_a_full_softmax(positions, heads, width, dtype):
    generator = torch.Generator().manual_seed(0)
    query = (torch.randn(2, positions, width, generator=generator) * 2).to(dtype)
    key = torch.randn(2, 77, width, generator=generator).to(dtype)
    weights = torch.zeros(2, 77, 2)
    weights[0, [5, 6], 0] = 0.5
    weights[1, 76, 1] = 1
    found = token_probabilities(query, key, weights, heads, (width // heads) ** -0.5)
    expected = full_softmax(query, key, heads).mean(1) @ weights
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert found[0, :, 1].abs().max() == 0 and found[1, :, 0].abs().max() == 0


def test_small_probabilities_survive_half_precision_inputs():
    query = torch.full((1, 4, 8), 8.0, dtype=torch.float16)
    key = torch.zeros(1, 77, 8, dtype=torch.float16)
    key[0, 0] = 4.0
    weights = torch.zeros(1, 77, 1)
    weights[0, 3] = 1
    found = token_probabilities(query, key, weights, 1, 0.1)
    torch.testing.assert_close(found, torch.full((1, 4, 1), 7.6e-12), rtol=0.02, atol=0)
    assert found.half().max() == 0  # which is what a float16 softmax would have kept of it


def test_self_attention_adds_up_over_calls():
    query, key = torch.randn(2, 2, 700, 32, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(2, 700, 700)
    for _ in range(2):
        add_self_attention(total, query, key, heads=4, scale=8**-0.5)
    torch.testing.assert_close(total / 2, full_softmax(query, key, 4).mean(1), rtol=1e-4, atol=1e-7)


def test_spread_is_a_matrix_power():
    attention = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0))
    maps = torch.tensor([[[1.0, 0.0], *[[0.0, 0.0]] * 5]])
    rows = attention / attention.sum(-1, keepdim=True)
    expected = torch.linalg.matrix_power(rows[0], 4)[:, 0]
    found = spread(attention, maps, 4)
    torch.testing.assert_close(found[0, :, 0], (expected - expected.min()) / (expected.max() - expected.min()))
    assert found[0, :, 1].abs().max() == 0


def test_spread_fills_the_region_that_attends_to_itself():
    attention = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2))[None]
    maps = torch.tensor([[[1.0], [0.0], [0.0], [0.1], [0.1]]])
    assert spread(attention, maps, 4)[0, :, 0].tolist() == pytest.approx([1, 1, 1, 0, 0])


def test_spread_shows_no_contrast_that_is_only_rounding():
    attention = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert spread(attention, torch.full((1, 64, 1), 0.7), 4).max() < 0.1


def test_fused_grids_weigh_the_same_whatever_their_scale():
    fine = torch.zeros(1, 16, 1)
    fine[0, 0] = 0.01
    coarse = torch.zeros(1, 4, 1)
    coarse[0, 3] = 0.9
    fused = fuse_grids({(4, 4): fine, (2, 2): coarse}, (4, 4))[0, :, 0].view(4, 4)
    assert fused[0, 0] == pytest.approx(0.5)
    assert fused[3, 3] == pytest.approx(0.5)
    assert fused.max() <= 1 and fused.min() >= 0


@pytest.mark.parametrize(
    ("latent", "positions", "grid"),
    [
        ((64, 64), 1024, (32, 32)),
        ((64, 96), 6144, (64, 96)),
        ((64, 96), 96, (8, 12)),
        ((96, 64), 384, (24, 16)),
        ((65, 33), 33 * 17, (33, 17)),
        ((65, 33), 17 * 9, (17, 9)),
    ],
)
def test_grids_follow_the_latent_and_not_the_square_root(latent, positions, grid):
    assert attention_grid(latent, positions) == grid


def test_positions_of_no_level_are_an_error():
    with pytest.raises(ValueError, match="100 positions are no level of a 64x96 latent"):
        attention_grid((64, 96), 100)
