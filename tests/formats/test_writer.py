import io

import numpy as np
from PIL import Image, JpegImagePlugin

from dsfactory.formats.writer import encode_image
from tests.formats.scenes import sample


def test_png_is_handed_on_unchanged():
    data = sample(1).image_png
    assert encode_image(data, "png") == data


def test_jpeg_is_close_full_colour_and_reproducible():
    smooth = np.stack(np.meshgrid(np.arange(48), np.arange(32), indexing="ij"), axis=-1).astype(np.uint8) * 4
    pixels = np.dstack([smooth, 255 - smooth[..., :1]])
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="PNG")
    data = encode_image(png.getvalue(), "jpg")
    assert data == encode_image(png.getvalue(), "jpg")
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
    assert np.abs(np.asarray(image).astype(int) - pixels).max() <= 6
