import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from dsfactory.core.sample import sample_key
from dsfactory.formats.writer import encode_image, split_of
from tests.formats.scenes import sample


def test_split_never_changes_between_versions():
    # A dataset that grows under a later version must not move an image from train to val.
    assert [number for number in range(60) if split_of(sample_key(number), 0.1) == "val"] == [19, 21, 26, 31, 48, 57]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_split_shares_hold_on_average(share):
    splits = [split_of(sample_key(number), share) for number in range(5000)]
    assert splits.count("val") / 5000 == pytest.approx(share, abs=0.02)


def test_larger_share_only_moves_samples_to_val():
    keys = [sample_key(number) for number in range(500)]
    small, large = ({key for key in keys if split_of(key, share) == "val"} for share in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize(("share", "split"), [(0.0, "train"), (1.0, "val")])
def test_share_of_nothing_and_of_everything(share, split):
    assert {split_of(sample_key(number), share) for number in range(200)} == {split}


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
