"""What exports say of where their samples come from: XMP, table, card, Croissant."""

import csv
import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dsfactory.formats import FORMATS
from dsfactory.formats.exporter import export
from dsfactory.formats.marking import mark_image
from dsfactory.formats.provenance import TABLE, Provenance
from dsfactory.formats.writer import encode_image
from tests.formats.scenes import CLASSES, sample

FACTS = Provenance(
    model="pocket", page="pocket", revision="abc", licence="Apache-2.0", licence_url="https://licence",
    adapters=("l:1",), steps=20, guidance=4.0, settings=(("steps", "20"), ("odd", "a|b")), quality=("Not measured.",),
    version="0",
)  # fmt: skip
NAME = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def digital_source_type(data: bytes) -> str:
    """The last part of what an image's XMP says; empty where it has none."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        packet = image.info.get("xmp", b"")
    if not packet:
        return ""
    (found,) = [item.attrib[NAME] for item in ElementTree.fromstring(packet).iter() if NAME in item.attrib]
    return found.rpartition("/")[2]


def written(format, out, items=None, **options):
    settings = {"fingerprint": "f", "model": "pocket", "provenance": FACTS, "val_share": 0.0, **options}
    export(format, items or [sample(number) for number in range(3)], CLASSES, out, **settings)
    return out


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("media", ["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"])
def test_an_image_says_what_it_is_and_keeps_its_pixels(kind, media):
    plain = encode_image(sample(0).image_png, kind)
    marked = mark_image(plain, media)
    assert digital_source_type(marked) == media and digital_source_type(plain) == ""
    assert len(marked) - len(plain) < 520
    pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (plain, marked)]
    assert np.array_equal(*pixels)
    assert mark_image(plain, "") == plain


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_format_says_where_its_samples_come_from(format, tmp_path):
    composed = replace(sample(1), media="compositeWithTrainedAlgorithmicMedia", split="train",
                       row={**sample(1).row, "sources": ["00000000", "00000002"]}, trust={1: 0.9, 2: 0.4})  # fmt: skip
    out = written(format, tmp_path / "d", [sample(0), composed, replace(sample(2), media="")])
    rows = list(csv.DictReader(io.StringIO((out / TABLE).read_text("utf-8"))))
    assert [row["synthetic"] for row in rows] == ["true", "true", "false"]
    assert [row["parents"] for row in rows] == ["", "00000000 00000002", ""]
    assert [row["trust"] for row in rows] == ["", "0.4", ""]
    assert [row["steps"] for row in rows] == ["20", "", ""]
    assert rows[0]["seed"] == str(2**60) and rows[0]["prompt"] == "a dog, 0" and rows[0]["adapters"] == "l:1"
    card = (out / "README.md").read_text("utf-8")
    assert "license: apache-2.0" in card and "a\\|b" in card and "| 1 | dog | 3 |" in card
    described = json.loads((out / "croissant.json").read_bytes())
    assert described["conformsTo"][0].endswith("croissant/1.1") and described["license"] == "https://licence"
    assert {name for name in described if name.startswith("rai:")} >= {"rai:dataLimitations", "rai:dataBiases"}
    manifest = json.loads((out / "dsfactory.json").read_bytes())
    assert manifest["settings"]["provenance"] is True


def test_images_in_files_and_within_tables_say_it(tmp_path):
    images = sorted(written("coco", tmp_path / "coco").glob("images/*/*.png"))
    assert {digital_source_type(path.read_bytes()) for path in images} == {"trainedAlgorithmicMedia"}
    given = written("coco", tmp_path / "given", [replace(sample(0), media="")], drawn=False)
    assert digital_source_type(next(given.glob("images/*/*.png")).read_bytes()) == ""
    (row, *_) = pq.read_table(written("parquet", tmp_path / "parquet") / "data").to_pylist()
    assert digital_source_type(row["image"]["bytes"]) == row["digital_source_type"] == "trainedAlgorithmicMedia"
    assert (row["synthetic"], row["revision"], row["guidance"], row["corrected"]) == (True, "abc", 4.0, False)


def test_mlcroissant_validates_and_loads_it(tmp_path):
    pytest.importorskip("mlcroissant")
    from scripts.check_croissant import check

    assert "3 records" in check(written("voc", tmp_path / "d"))
