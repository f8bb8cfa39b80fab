"""Targets: labels that come back from other tools, by hands that mean harm."""

import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from dsfactory.jobs.corrections import import_job
from dsfactory.jobs.export import export_job
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from scripts.fuzz_bytes import SCALARS, WORDS, mutate, mutate_value
from scripts.fuzz_pictures import bomb, encoded_picture, index_picture
from scripts.fuzz_runs import copy_of_run

_ENTITIES = (b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "' + b"&a;" * 50 + b'"><!ENTITY c "' + b"&b;" * 50
             + b'"><!ENTITY d "' + b"&c;" * 50 + b'"><!ENTITY e "' + b"&d;" * 50 + b'">]>')  # fmt: skip


def fixed_coco(rng: random.Random, folder: Path) -> None:
    """COCO files with changed values: sizes, run lengths, polygons, ids, names."""

    def change(path: Path) -> None:
        content = json.loads(path.read_bytes())
        for annotation in content["annotations"]:
            if rng.random() < 0.3:
                size = rng.choice([[32, 40], [40, 32], [0, 0], [2**31, 2**31], [32], "x", [32.5, 40]])
                counts = rng.choice(
                    ["PPYo1", "", "\0", "é", [0, 1280], [1, 2, 3], [-1, 1281], [2**33, 1], "0" * 9999, 3]
                )
                annotation["segmentation"] = {"size": size, "counts": counts}
        path.write_text(json.dumps(mutate_value(rng, content)))

    _bring_back(rng, folder, "coco", "annotations/*.json", change)


def fixed_cvat(rng: random.Random, folder: Path) -> None:
    """CVAT's XML with changed attributes, entities that grow, shapes out of the image."""

    def change(path: Path) -> None:
        tree = ElementTree.parse(path)
        for _ in range(rng.choice([1, 1, 3])):
            element = rng.choice(list(tree.getroot().iter()))
            if element.attrib:
                odd = [*map(str, SCALARS), *WORDS[:11], "-1", "1e9", "0, 9999999999", "nan,nan;1,1;2,2", "5,5;5,5"]
                value = rng.choice([word for word in odd if word.isprintable()])
                element.set(rng.choice(list(element.attrib)), value)
            else:
                element.tag = rng.choice(["mask", "polygon", "image", "track", "tag", "box"])
        data = ElementTree.tostring(tree.getroot())
        if rng.random() < 0.1:
            data = _ENTITIES + data.replace(b'label="', b'label="&e;', 1)
        path.write_bytes(mutate(rng, data, 0.2))

    _bring_back(rng, folder, "cvat", "annotations.xml", change)


def fixed_masks(rng: random.Random, folder: Path) -> None:
    """VOC folders and plain masks with images of odd modes, sizes and values in them."""
    form = rng.choice(["voc", "png"])

    def change(path: Path) -> None:
        if path.suffix == ".txt":
            lines = path.read_text().splitlines()
            lines.insert(rng.randrange(len(lines) + 1), rng.choice([*WORDS, "dog:1,2", "cat:9,9,9::", "dog:²,1,1::"]))
            path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        else:
            path.write_bytes(mutate(rng, rng.choice([encoded_picture, bomb, index_picture])(rng), 0.3))

    names = {"voc": ["SegmentationClass/*.png", "SegmentationObject/*.png", "JPEGImages/*", "labelmap.txt"],
             "png": ["ann_dir/*/*.png", "img_dir/*/*"]}  # fmt: skip
    _bring_back(rng, folder, form, rng.choice(names[form]), change)


def _bring_back(rng: random.Random, folder: Path, form: str, pattern: str, change: Callable[[Path], None]) -> None:
    run = copy_of_run(folder)
    back = run / "export" / form
    files = sorted(back.glob(pattern))
    change(rng.choice(files))
    given = back if rng.random() < 0.6 else _zipped(rng, back, folder / "back.zip")
    try:
        import_job(run, given, form, dry_run=rng.random() < 0.3)
    finally:
        names = {path.name for path in (run / "fixes").iterdir()} if (run / "fixes").exists() else set()
        odd = [
            name
            for name in names
            if not re.fullmatch(r"fixes\.json|\.lock|\d{8}-[0-9a-f]{16}\.(mask|instances)\.png", name)
        ]
        assert odd == [], odd
        assert all(path.read_text() == "mine" for path in (folder / "outside").iterdir()), "something outside changed"
    # What came through is as good as the run's own.
    assert not [fault for fault in verify_path(run, Silent()).faults if fault.place.startswith("fixes")]
    export_job(run, "coco", run / "fresh", 0.3)


def _zipped(rng: random.Random, folder: Path, path: Path) -> Path:
    """A zip of a folder, with members that lead out of it, claim other sizes, or have a password."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for item in sorted(folder.rglob("*")):
            if item.is_file():
                archive.write(item, item.relative_to(folder))
        if rng.random() < 0.3:
            name = rng.choice(
                ["../../outside/run.json", "/etc/passwd", "SegmentationClass/..png", "annotations/x.json"]
            )
            archive.writestr(name, b"evil")
    data = bytearray(buffer.getvalue())
    place = data.rfind(b"PK\x01\x02")
    if rng.random() < 0.3:
        offset, value = rng.choice(
            [(24, struct.pack("<I", 2**32 - 2)), (8, b"\x01\x00"), (10, b"\x63\x00"), (42, b"\xff\xff\xff\x7f")]
        )
        data[place + offset : place + offset + len(value)] = value
    path.write_bytes(mutate(rng, bytes(data), 0.3))
    return path
