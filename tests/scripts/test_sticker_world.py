from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("resvg_py")

from dsfactory.core.png import voc_palette
from scripts.sticker_world import main


def render(packages: Path, out: Path, *extra: str) -> None:
    arguments = ["--packages", str(packages), "--styles", "style-a,style-b", "--classes", "dog,bird", "--num", "10"]
    main([*arguments, "--size", "64", "--out", str(out), *extra])


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_layout_is_that_of_voc(packages: Path, tmp_path: Path) -> None:
    render(packages, tmp_path / "world")
    root = tmp_path / "world"
    lists = {
        name: (root / f"ImageSets/Segmentation/{name}.txt").read_text().split() for name in ("train", "val", "trainval")
    }
    assert len(lists["trainval"]) == 10
    assert sorted(lists["train"] + lists["val"]) == lists["trainval"]
    assert lists["val"] == ["000004", "000009"]
    seen: set[int] = set()
    for name in lists["trainval"]:
        with (
            Image.open(root / "JPEGImages" / f"{name}.jpg") as image,
            Image.open(root / "SegmentationClass" / f"{name}.png") as mask,
        ):
            assert image.size == mask.size == (64, 64)
            assert mask.mode == "P"
            assert bytes(mask.getpalette() or ()) == voc_palette()
            values = set(np.unique(np.array(mask)).tolist())
        assert 0 in values and values <= {0, 1, 2} and len(values) > 1
        seen |= values
    assert seen == {0, 1, 2}
    assert "dog:128,0,0::\nbird:0,128,0::\n" in (root / "labelmap.txt").read_text()


def test_same_arguments_give_same_bytes(packages: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        render(packages, tmp_path / name, "--seed", seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_folder_with_something_in_it_is_refused(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(SystemExit, match="2"):
        render(packages, tmp_path)
    assert "is not empty" in capsys.readouterr().err
    assert contents(tmp_path) == {"mine.txt": b"keep me"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--classes", "dog,unicorn"], "no stickers for unicorn"),
        (["--styles", "style-b", "--classes", "cat"], "no sticker for cat"),
        (["--styles", "nowhere"], "nowhere"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: Sequence[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        render(packages, tmp_path / "world", *extra)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "world").exists()
