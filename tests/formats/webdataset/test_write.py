import io
import json
import tarfile

import numpy as np
from PIL import Image

from dsfactory.formats.webdataset import write as webdataset_module
from tests.formats.scenes import labels, write


def test_tars_hold_whole_samples_and_a_bounded_number(tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset_module, "SAMPLES_PER_TAR", 5)
    write("webdataset", tmp_path / "d", val_share=0.0)
    content = json.loads((tmp_path / "d" / "dataset.json").read_text(encoding="utf-8"))
    assert content["samples"] == {"train-000000.tar": 5, "train-000001.tar": 5, "train-000002.tar": 2}
    assert content["classes"] == {"0": "background", "1": "dog", "2": "crème brûlée", "255": "void"}
    with tarfile.open(tmp_path / "d" / "train-000001.tar") as tar:
        names = tar.getnames()
        assert names[:4] == [f"00000005.{end}" for end in ("png", "mask.png", "instances.png", "json")]
        row = json.load(tar.extractfile("00000006.json"))
        mask = np.array(Image.open(io.BytesIO(tar.extractfile("00000006.mask.png").read())))
    assert row["key"] == "00000006" and np.array_equal(mask, labels(6)[0])
