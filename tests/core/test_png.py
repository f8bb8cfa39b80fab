import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsfactory.core.png import (
    decode_index_png,
    decode_rgb_png,
    encode_grey_png,
    encode_index_png,
    encode_rgb_png,
    voc_palette,
)


def test_palette_is_that_of_the_voc_development_kit():
    colours = np.frombuffer(voc_palette(), dtype=np.uint8).reshape(256, 3)
    assert colours[0].tolist() == [0, 0, 0]
    assert colours[1].tolist() == [128, 0, 0]
    assert colours[12].tolist() == [64, 0, 128]  # dog
    assert colours[20].tolist() == [0, 64, 128]  # tv monitor
    assert colours[255].tolist() == [224, 224, 192]
    assert len(np.unique(colours, axis=0)) == 256


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_indices_survive(height, width, seed):
    indices = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    data = encode_index_png(indices)
    assert np.array_equal(decode_index_png(data), indices)
    assert encode_index_png(indices.copy(order="F")) == data


def test_mask_opens_as_palette_image():
    image = Image.open(io.BytesIO(encode_index_png(np.full((4, 6), 255, dtype=np.uint8))))
    assert image.mode == "P"
    assert image.size == (6, 4)
    assert image.convert("RGB").getpixel((0, 0)) == (224, 224, 192)


def test_colours_survive():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(decode_rgb_png(encode_rgb_png(pixels)), pixels)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:60], lambda data: b"GIF89a" + data[6:]])
def test_damaged_png_is_named(damage):
    data = damage(encode_rgb_png(np.zeros((64, 64, 3), dtype=np.uint8)))
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_rgb_png(data)


def test_flipped_bits_are_noticed():
    data = bytearray(encode_index_png(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    data[-30] ^= 0xFF
    with pytest.raises(ValueError, match="not a readable PNG"):
        decode_index_png(bytes(data))


def test_painted_mask_is_refused():
    with pytest.raises(ValueError, match="mode P or L, not RGB"):
        decode_index_png(encode_rgb_png(np.zeros((2, 2, 3), dtype=np.uint8)))


@pytest.mark.parametrize("array", [np.zeros((2, 2), dtype=np.int64), np.zeros((2, 2, 3), dtype=np.uint8)])
def test_only_index_arrays_become_masks(array):
    with pytest.raises(ValueError, match="an index image is uint8"):
        encode_index_png(array)


def test_only_colour_arrays_become_images():
    with pytest.raises(ValueError, match="an RGB image is uint8"):
        encode_rgb_png(np.zeros((2, 2), dtype=np.uint8))


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_grey_keeps_its_depth_and_is_shown_in_eight_bits(bits, dtype):
    values = (np.arange(64).reshape(8, 8) << (bits - 6)).astype(dtype)
    data = encode_grey_png(values)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image).astype(dtype), values)
    assert np.array_equal(decode_rgb_png(data)[..., 0], np.arange(64).reshape(8, 8) * 4)
    with pytest.raises(ValueError, match="a grey image is"):
        encode_grey_png(values[..., None])
