"""COCO panoptic, by its published rules: each colour is a segment, areas and boxes fit, void is 0."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.formats.scenes import CLASSES, keys_of, labels, write


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panoptic") / "d"
    write("panoptic", folder)
    return folder


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_pixel_belongs_to_the_segment_of_its_colour(split, out):
    content = json.loads((out / f"annotations/panoptic_{split}.json").read_text("utf-8"))
    categories = {item["id"]: (item["name"], item["isthing"]) for item in content["categories"]}
    assert categories == {1: (CLASSES[0], 1), 2: (CLASSES[1], 1), 3: ("background", 0)}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert len(content["annotations"]) == len(names) == len(keys_of(split))
    for annotation in content["annotations"]:
        mask, instances = labels(annotation["image_id"] - 1)
        assert names[annotation["image_id"]] == annotation["file_name"]
        assert (out / f"images/{split}" / annotation["file_name"]).is_file()
        rgb = np.asarray(Image.open(out / f"panoptic/{split}" / annotation["file_name"])).astype(np.int64)
        ids = rgb @ (1, 256, 65536)
        assert {*np.unique(ids).tolist()} - {0} == {item["id"] for item in annotation["segments_info"]}
        assert np.array_equal(ids == 0, mask == 255)
        for segment in annotation["segments_info"]:
            pixels = ids == segment["id"]
            rows, columns = np.nonzero(pixels)
            assert segment["area"] == pixels.sum()
            x, y, width, height = segment["bbox"]
            assert (columns.min(), rows.min(), columns.max() - x + 1, rows.max() - y + 1) == (x, y, width, height)
            expected = 0 if segment["category_id"] == 3 else segment["category_id"]
            assert {*np.unique(mask[pixels]).tolist()} == {expected}
            assert len(np.unique(instances[pixels])) == 1
