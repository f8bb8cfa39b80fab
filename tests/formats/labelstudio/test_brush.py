"""Label Studio's packed run lengths, against a reader that follows its converter bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dsfactory.formats.labelstudio.brush import decode_brush, encode_brush


def as_the_converter_reads(packed: list[int], height: int, width: int) -> np.ndarray:
    """``label_studio_converter.brush.decode_rle`` in other words: a cursor over bits, the fourth channel counts."""
    bits = iter("".join(f"{value:08b}" for value in packed))
    read = lambda count: int("".join(next(bits) for _ in range(count)), 2)  # noqa: E731
    out: list[int] = []
    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    while len(out) < total:
        repeated = read(1)
        length = 1 + read(sizes[read(2)])
        out += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return np.array(out, dtype=np.uint8).reshape(height, width, 4)[:, :, 3] > 0


@settings(max_examples=40, deadline=None)
@given(some.integers(1, 40), some.integers(1, 40), some.integers(0, 2**32 - 1))
def test_what_is_packed_comes_back(height, width, seed):
    pixels = np.random.default_rng(seed).random((height, width)) < 0.3
    packed = encode_brush(pixels)
    assert np.array_equal(decode_brush(packed, height, width), pixels)
    assert np.array_equal(as_the_converter_reads(packed, height, width), pixels)


def test_runs_longer_than_the_largest_size(height=300, width=300):
    pixels = np.zeros((height, width), dtype=bool)
    pixels[250:] = True
    assert np.array_equal(decode_brush(encode_brush(pixels), height, width), pixels)


@pytest.mark.parametrize(("packed", "said"), [
    (encode_brush(np.ones((4, 4), dtype=bool)), "another size"),
    (encode_brush(np.ones((8, 8), dtype=bool))[:7], "break off"),
    ([1, "x"], "no run lengths"),
    ([300], "no run lengths"),
])  # fmt: skip
def test_what_is_none_is_refused(packed, said):
    with pytest.raises(ValueError, match=said):
        decode_brush(packed, 8, 8)
