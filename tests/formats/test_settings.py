import pytest

from dsfactory.errors import UserError
from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, samples


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("COCO", {}, "did you mean 'coco'"),
        ("cocoo", {}, "did you mean 'coco'"),
        ("tfrecord", {}, "There are coco, cvat"),
        ("../../etc", {}, "There are coco, cvat"),
        ("coco", {"val_share": 1.2}, "between 0 and 1"),
        ("coco", {"val_share": float("nan")}, "between 0 and 1"),
        ("voc", {"image_format": "png"}, "look for jpg"),
        ("voc", {"rle": True}, "for coco"),
    ],
)
def test_settings_that_cannot_be_used_write_nothing(tmp_path, format, options, message):
    with pytest.raises(UserError, match=message):
        export(format, samples(1), CLASSES, tmp_path / "d", fingerprint="f", model="pocket", **options)
    assert list(tmp_path.iterdir()) == []
