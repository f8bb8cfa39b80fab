"""What ``scripts/fuzz.py`` throws at dsfactory: per target a maker of inputs and what must hold for each of them.

A target gets a random generator and an empty folder. It may raise :class:`~dsfactory.errors.DsfactoryError`,
the one clear line that a user sees; anything else, and a failed ``assert``, is a fault.
"""

import gzip
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dsfactory.core.classes import parse_class_list, read_class_file
from dsfactory.core.png import decode_rgb_png, encode_rgb_png
from dsfactory.core.section import parse_section
from dsfactory.errors import DamagedShard
from dsfactory.jobs.settings import resolve_config
from dsfactory.stages import RunConfig
from dsfactory.stages.prompts.corpus import Corpus
from scripts.fuzz_bytes import SCALARS, WORDS, encode, mutate, unicode_text
from scripts.fuzz_labels import fixed_coco, fixed_cvat, fixed_masks
from scripts.fuzz_pictures import image_classes, picture, real_set
from scripts.fuzz_runs import foreign_export, foreign_json, foreign_tar, forged_run, run_folder, shard

Target = Callable[[random.Random, Path], None]

YAML_PIECES = ["a: ", "- ", "classes: ", "generate: ", "prompts: {", "}", "[", "]", "&x ", "*x", "<<: ", "!!int ",
               "!!bool foo", "!!python/object/apply:os.system [id]", "!!timestamp x", "!!binary %", "2001-99-99", "? ",
               ": ", "|\n ", ">\n ", "\n", "\t", '"', "'", "\\ud800", "#", "---\n", "...\n", "%YAML 9.9\n",
               "%TAG ! x\n", "{" * 50, "[" * 2000, "1" * 5000,
               "!!set {a}", "!!omap [a]", "0o9", "1:99:99", "~", "\0", "\ufeff", "=", "@", "`"]  # fmt: skip


def class_names(rng: random.Random, folder: Path) -> None:
    """``--classes``: what is accepted is harmless in a path."""
    text = ",".join(rng.choice(WORDS) + rng.choice(["", "", unicode_text(rng, 5)]) for _ in range(rng.randint(0, 6)))
    config = parse_section(RunConfig, {"classes": parse_class_list(text)}, "settings")
    _check_classes(config)


def class_file(rng: random.Random, folder: Path) -> None:
    """``--classes-file``."""
    path = folder / "classes.txt"
    lines = [rng.choice(WORDS) + rng.choice([": ", "", "#", ":", ":,,"]) + rng.choice(WORDS)
             for _ in range(rng.choice([0, 1, 3, 20, 400]))]  # fmt: skip
    path.write_bytes(mutate(rng, encode(rng, rng.choice(["\n", "\r\n", "\r", "\x0b"]).join(lines))))
    _check_classes(parse_section(RunConfig, {"classes": read_class_file(path)}, str(path)))


def config_file(rng: random.Random, folder: Path) -> None:
    """``--config``: YAML of wrong types and shapes, and what is no YAML at all."""
    path = folder / "run.yaml"
    if rng.random() < 0.5:
        text = yaml.safe_dump(_any_config(rng), allow_unicode=rng.random() < 0.5)
    else:
        text = "".join(rng.choice(YAML_PIECES) for _ in range(rng.randint(0, 30)))
    if rng.random() < 0.1:
        text = "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(12))
        text += rng.choice(["classes: *a11\n", "generate: *a11\n", "num: *a11\n", "seed: {<<: [*a11]}\n"])
    path.write_bytes(mutate(rng, encode(rng, text)))
    _check_classes(resolve_config(path, path, {}))


def corpus(rng: random.Random, folder: Path) -> None:
    """Caption files: txt, csv, tsv and jsonl, plain and gzipped; what comes out is printable lines."""
    form = rng.choice([".txt", ".csv", ".tsv", ".jsonl"])
    cells = [rng.choice([*WORDS, '"', '"never closed', "a dog", '""', "\r", "é" * 2000, "1" * 5000, "[" * 3000])
             for _ in range(rng.randint(0, 30))]  # fmt: skip
    if form == ".jsonl":
        rows = [json.dumps({"caption": rng.choice([*cells, *SCALARS]), "x": cell}) for cell in cells]
        rows = [rng.choice([row, row, row[: rng.randint(0, len(row))], "[" * 100_000, "3"]) for row in rows]
    else:
        glue = {".txt": " ", ".csv": ",", ".tsv": "\t"}[form]
        rows = ["caption", *(glue.join(cells[n : n + 2]) for n in range(0, len(cells), 2))]
    data = mutate(rng, encode(rng, "\n".join(rows)))
    if rng.random() < 0.05:
        data += b"a" * (3 << 20)  # a line longer than any caption
    if rng.random() < 0.3:
        form += ".gz"
        data = gzip.compress(bytes(200 << 20), 1) if rng.random() < 0.02 else mutate(rng, gzip.compress(data))
    path = folder / f"captions{form}"
    path.write_bytes(data)
    _read_corpus(path)


def parquet_corpus(rng: random.Random, folder: Path) -> None:
    """Parquet captions of odd types, of text that is none, with flipped bytes."""
    count = rng.randint(0, 5)
    columns: list[Any] = [
        pa.array([rng.choice(WORDS).encode("utf-8", "ignore").decode() for _ in range(count)]),
        pa.array([b"\xff\xfe"] * count, pa.binary()),
        pa.array(list(range(count)), pa.int64()),
        pa.array([[1]] * count, pa.list_(pa.int64())),
        pa.array([{"caption": "a dog"}] * count, pa.struct([("caption", pa.string())])),
        pa.array(["a dog"] * count).dictionary_encode(),
        pa.nulls(count),
        pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 2)), pa.py_buffer(b"\xff\xfe")]
        ),
    ]
    column = rng.choice(columns)
    names = rng.choice([["caption"], ["caption"], ["caption", "caption"], ["a.b"], [""], ["é\x1b[2J"]])
    path = folder / "captions.parquet"
    pq.write_table(pa.Table.from_arrays([column] * len(names), names=names), path)
    path.write_bytes(mutate(rng, path.read_bytes(), 0.3))
    _read_corpus(path, rng.choice([None, names[0]]))


def image(rng: random.Random, folder: Path) -> None:
    """PNG files with flipped bytes and claimed sizes."""
    data = bytearray(encode_rgb_png(np.zeros((4, 4, 3), np.uint8)))
    if rng.random() < 0.3:
        data[16:24] = struct.pack(">II", rng.choice([0, 1, 9000, 2**31 - 1]), rng.choice([0, 1, 9000, 2**31 - 1]))
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    try:
        decode_rgb_png(mutate(rng, bytes(data)))
    except ValueError as error:
        raise DamagedShard(str(error)) from error  # what the refine stage takes it for


TARGETS: dict[str, Target] = {function.__name__: function for function in (
    class_names, class_file, config_file, corpus, parquet_corpus, image, picture, image_classes, real_set, fixed_coco,
    fixed_cvat, fixed_masks, shard, foreign_tar, run_folder, forged_run, foreign_json, foreign_export)}  # fmt: skip


def _check_classes(config: RunConfig) -> None:
    for item in config.classes:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", item.slug), item.slug
        assert item.name.isprintable() and "/" not in item.name


def _read_corpus(path: Path, column: str | None = None) -> None:
    for caption in Corpus(str(path), column).captions():
        assert caption.text.isprintable() and caption.text == " ".join(caption.text.split())


def _any_config(rng: random.Random) -> dict[Any, Any]:
    names = [
        "classes",
        "num",
        "seed",
        "shard_size",
        "prompts",
        "generate",
        "refine",
        "filter",
        "splice",
        "annotate",
        "x",
    ]
    fields = ["model", "steps", "width", "corpus", "objects", "pool", "threshold", "max_words", "templates", 3, "folds",
              "segment", "keep", "mix", "size", "images", "timesteps", "prompt", "image_classes"]  # fmt: skip
    config: dict[Any, Any] = {}
    for name in rng.sample(names, rng.randint(0, 4)):
        inner = {rng.choice(fields): rng.choice(SCALARS) for _ in range(rng.randint(0, 3))}
        config[name] = rng.choice([inner, rng.choice(SCALARS), [rng.choice(WORDS) for _ in range(rng.randint(0, 4))]])
    return config if rng.random() < 0.9 else {rng.choice([3, None, "x" * 9999]): config}
