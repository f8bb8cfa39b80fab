import json

import numpy as np
import yaml
from PIL import Image

from dsfactory.core.png import decode_index_png
from tests.formats.scenes import CLASSES, HEIGHT, WIDTH, keys_of, labels, write


def test_image_folder_names_its_files_from_the_folder_of_its_table(tmp_path):
    write("hf", tmp_path / "d")
    for split, folder in (("train", "train"), ("val", "validation")):
        top = tmp_path / "d" / folder
        rows = [json.loads(line) for line in (top / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [row["key"] for row in rows] == keys_of(split)
        for row in rows:
            number = int(row["key"])
            mask, instances = labels(number)
            assert Image.open(top / row["file_name"]).size == (WIDTH, HEIGHT) == (row["width"], row["height"])
            assert np.array_equal(decode_index_png((top / row["mask_file_name"]).read_bytes()), mask)
            assert np.array_equal(decode_index_png((top / row["instances_file_name"]).read_bytes()), instances)
            assert row["prompt"] == f"a dog, {number}" and row["image_seed"] == 2**60 + number
            assert row["classes"] == list(CLASSES)
            assert row["objects"]["id"] == [1, 2, 3]
            assert row["objects"]["category"] == [1 + number % 2, 2, 1]
            assert row["objects"]["area"] == [int((instances == n).sum()) for n in (1, 2, 3)]
    card = (tmp_path / "d" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---")[1])["task_categories"] == ["image-segmentation"]
    assert "| 2 | crème brûlée |" in card and "No person checked" in card
