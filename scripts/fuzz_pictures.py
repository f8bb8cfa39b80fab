"""Targets: pictures for ``annotate``, lists of their classes, real sets for ``evaluate``."""

import io
import json
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from dsfactory.core.classes import ClassSpec
from dsfactory.dataset.pictures import MAX_PIXELS, look_at, read_file
from dsfactory.errors import DamagedShard
from dsfactory.evaluate.classes import match_classes
from dsfactory.formats.voc.folder import VocFolder
from dsfactory.stages.annotate.images import find_images
from dsfactory.stages.annotate.pictures import read_image_classes, read_pictures
from scripts.fuzz_bytes import SCALARS, WORDS, encode, mutate, mutate_value

_MODES = ["RGB", "RGBA", "L", "LA", "P", "1", "I", "F", "I;16", "CMYK", "YCbCr", "HSV"]
_FORMATS = ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "ICO", "PPM", "MPO", "ICNS", "EPS"]
_SIZES = [(64, 48), (16, 16), (15, 90), (1, 1), (3000, 16), (17, 33)]


def picture(rng: random.Random, folder: Path) -> None:
    """A picture for ``annotate``: any kind, mode, size and metadata, cut short, changed, or claiming another size."""
    path = folder / rng.choice(["a.jpg", "ü.PNG", "a.gif", "a b.tiff", "a.webp", "\udcff.bmp"])
    path.write_bytes(mutate(rng, rng.choice([encoded_picture, bomb, _hollow])(rng), 0.5))
    assert find_images(folder, folder / "out") == [path.name]
    try:
        pixels = look_at(read_file(path)).pixels
    except ValueError as error:
        raise DamagedShard(str(error)) from error  # a failed sample with this reason
    assert pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) and pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS


def image_classes(rng: random.Random, folder: Path) -> None:
    """``--image-classes``, CSV or JSON, and a run's ``pictures.json``."""
    classes = [ClassSpec(name="dog"), ClassSpec(name="traffic light")]
    names = [rng.choice(["a.jpg", "b/ü.png", *WORDS]) for _ in range(rng.randint(0, 4))]
    words = [";".join(rng.choice(WORDS) for _ in range(rng.randint(0, 3))) for _ in names]
    if rng.random() < 0.5:
        path = folder / "classes.csv"
        lines = [rng.choice(["file,classes"] * 3 + ["", "file", "file,classes,classes", '"'])]
        text = "\n".join([*lines, *(f"{name},{word}" for name, word in zip(names, words, strict=True))])
    else:
        path = folder / "classes.json"
        content = {name: word.split(";") for name, word in zip(names, words, strict=True)}
        text = json.dumps(mutate_value(rng, content) if rng.random() < 0.5 else content)
    path.write_bytes(mutate(rng, encode(rng, text)))
    for file, shown in read_image_classes(path, classes).items():
        assert isinstance(file, str) and set(shown) <= {"dog", "traffic light"}
    listed = {"pictures": [{"name": name, "classes": rng.choice([None, ["dog"]])} for name in names]}
    (folder / "pictures.json").write_bytes(mutate(rng, json.dumps(mutate_value(rng, listed)).encode()))
    for item in read_pictures(folder):
        assert not item.name.startswith("/") and ".." not in Path(item.name).parts


def real_set(rng: random.Random, folder: Path) -> None:
    """A VOC folder for ``evaluate`` with one thing or another wrong; what is read are images with label ids."""
    outside = folder / "outside.png"
    outside.write_bytes(index_picture(rng))
    root = folder / "real"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for name in ("a", "b"):
        (root / "JPEGImages" / f"{name}.jpg").write_bytes(mutate(rng, encoded_picture(rng, "JPEG", "RGB"), 0.1))
        data = rng.choice([index_picture, index_picture, index_picture, lambda rng: encoded_picture(rng, "PNG")])(rng)
        (root / "SegmentationClass" / f"{name}.png").write_bytes(mutate(rng, data, 0.1))
    listed = rng.choice(
        [["a", "b"]] * 4 + [[], ["a", "a"], ["../../outside"], ["/etc/passwd"], ["c"], *[[w] for w in WORDS]]
    )
    (root / "ImageSets/Segmentation/val.txt").write_bytes(mutate(rng, encode(rng, "\n".join(listed)), 0.1))
    if rng.random() < 0.6:
        lines = ["background:0,0,0::", "dog:128,0,0::", "bird:0,128,0::"]
        lines[rng.randrange(3)] = rng.choice(
            [*lines, *WORDS, "dog:300,0,0::", "dog:1,2::", "dog:" + "9" * 5000, "a:²,1,1"]
        )
        (root / "labelmap.txt").write_bytes(mutate(rng, encode(rng, "\n".join(lines)), 0.2))
    _break(rng, root)
    found = VocFolder.open(root)
    images = found.images("val", match_classes((ClassSpec(name="dog"),), found.names, "real"))
    labels = images.summary(lambda: None).labels
    assert labels <= {0, 1}
    for image, mask in (images[index] for index in range(len(images))):
        assert image.shape == (*mask.shape, 3) and set(np.unique(mask).tolist()) <= {0, 1, 255}


def _break(rng: random.Random, root: Path) -> None:
    """Take something away, or put a link, a folder or a pipe in its place."""
    if rng.random() < 0.7:
        return
    path = rng.choice([root / "JPEGImages/a.jpg", root / "SegmentationClass/b.png", root / "labelmap.txt",
                       root / "ImageSets/Segmentation/val.txt"])  # fmt: skip
    path.unlink(missing_ok=True)
    kind = rng.choice(["nothing", "link", "loop", "folder"])
    if kind == "link":
        path.symlink_to(root.parent / "outside.png")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()


def index_picture(rng: random.Random) -> bytes:
    pixels = np.random.default_rng(rng.randrange(1 << 30)).choice([0, 1, 2, 255, rng.randrange(256)], (48, 64))
    drawn = Image.fromarray(pixels.astype(np.uint8))
    if rng.random() < 0.5:
        drawn.putpalette([rng.randrange(256) for _ in range(rng.choice([768, 768, 9, 3]))])
    return _saved(drawn, "PNG")


def encoded_picture(rng: random.Random, form: str | None = None, mode: str | None = None) -> bytes:
    """A picture in a form and mode that go together, with odd metadata."""
    form, mode = form or rng.choice(_FORMATS), mode or rng.choice(_MODES)
    size = rng.choice(_SIZES[:1] * 5 + _SIZES)
    pixels = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (*size[::-1], 3), np.uint8)
    drawn = Image.fromarray(pixels)
    drawn = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else drawn.convert(mode)
    options: dict[str, object] = {}
    if rng.random() < 0.4:
        exif = Image.Exif()
        exif[0x0112] = rng.choice([1, 3, 6, 8, 0, 9, 99999 % 65536])
        options["exif"] = mutate(rng, exif.tobytes(), 0.3)
    if rng.random() < 0.2:
        options |= {"save_all": True, "append_images": [drawn.transpose(Image.Transpose.ROTATE_180)] * 2}
    if rng.random() < 0.2:
        options["icc_profile"] = rng.randbytes(300)
    if rng.random() < 0.2:
        options["transparency"] = rng.choice([0, 255, b"\0" * 256])
    try:
        return _saved(drawn, form, **options)
    except (OSError, ValueError, TypeError, KeyError, struct.error, SyntaxError, AttributeError):
        return _saved(drawn.convert("RGB"), "PNG")  # this form does not take this mode


def bomb(rng: random.Random) -> bytes:
    """A few bytes that claim a huge picture, with checksums in order."""
    side = rng.choice([4097, 30_000, 65_535, 2**31 - 1])
    if rng.random() < 0.5:
        data = bytearray(_saved(Image.new(rng.choice(["L", "RGB", "1"]), (16, 16)), "PNG"))
        data[16:24] = struct.pack(">II", side, rng.choice([side, 17]))
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        return bytes(data)
    form = rng.choice(["GIF", "BMP", "TIFF", "WEBP", "JPEG"])
    data = bytearray(_saved(Image.new("RGB", (64, 48)), form))
    for width in (struct.pack("<H", 64), struct.pack(">H", 64), struct.pack("<I", 64)):
        place = data.find(width)
        if place >= 0:
            data[place : place + len(width)] = b"\xff" * (len(width) - 1) + b"\x7f"
    return bytes(data)


def _hollow(rng: random.Random) -> bytes:
    """What is no picture."""
    head = rng.choice(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"RIFF\0\0\0\0WEBP", b"BM", b"<svg>"]
    )
    return head + rng.choice([b"", rng.randbytes(200), bytes(5000), str(SCALARS).encode()])


def _saved(drawn: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn.save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()
