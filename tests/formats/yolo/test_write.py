import yaml

from tests.formats.scenes import keys_of, labels, write


def test_yolo_names_no_place_and_counts_classes_from_0(tmp_path):
    write("yolo", tmp_path / "d")
    content = yaml.safe_load((tmp_path / "d" / "data.yaml").read_text(encoding="utf-8"))
    assert content == {"train": "images/train", "val": "images/val", "names": {0: "dog", 1: "crème brûlée"}}
    for split in ("train", "val"):
        images, lists = (sorted((tmp_path / "d" / kind / split).iterdir()) for kind in ("images", "labels"))
        assert [path.stem for path in images] == [path.stem for path in lists] == keys_of(split)
        for path in lists:
            mask, instances = labels(int(path.stem))
            lines = path.read_text().splitlines()
            assert [int(line.split()[0]) for line in lines] == [mask[instances == n].max() - 1 for n in (1, 2, 3)]
