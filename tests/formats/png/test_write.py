import json

import numpy as np
from PIL import Image

from tests.formats.scenes import CLASSES, keys_of, labels, write


def test_pairs_hold_plain_ids(tmp_path):
    write("png", tmp_path / "d")
    for split in ("train", "val"):
        assert [path.stem for path in sorted((tmp_path / "d" / "img_dir" / split).iterdir())] == keys_of(split)
        for path in (tmp_path / "d" / "ann_dir" / split).iterdir():
            with Image.open(path) as image:
                assert image.mode == "L"
                assert np.array_equal(np.array(image), labels(int(path.stem))[0])
    metainfo = json.loads((tmp_path / "d" / "metainfo.json").read_text(encoding="utf-8"))
    assert metainfo["classes"] == ["background", *CLASSES]
    assert metainfo["palette"] == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
