"""What ``scripts/fuzz.py`` throws at dsfactory: per target a maker of inputs and what must hold for each of them.

A target gets a random generator and an empty folder. It may raise :class:`~dsfactory.core.errors.DsfactoryError`,
the one clear line that a user sees; anything else, and a failed ``assert``, is a fault.
"""

import gzip
import hashlib
import io
import json
import random
import re
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dsfactory.core.config import parse_class_list, parse_section, read_class_file
from dsfactory.core.disk import disk_errors
from dsfactory.core.errors import DamagedShard
from dsfactory.core.png import decode_rgb_png, encode_rgb_png
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardReader, ShardSpec, ShardWriter
from dsfactory.engine.config import RunConfig, resolve_config
from dsfactory.engine.pipeline import status_of
from dsfactory.prompts.corpus import Corpus
from dsfactory.prompts.pool import load_pool

Target = Callable[[random.Random, Path], None]

WORDS = ["dog", "traffic light", "../../etc/passwd", "..", "/", "", " ", "-", "'", "x" * 70, "x" * 5000, "\0",
         "\x1b[2J", "собака", "狗", "é" * 30, "a" + "\u0301\u0327" * 600, "\ud800", "\u202e", "CON", "dog\n", "dog,",
         "&", "%s{0}", "~", "~nobodyhere/x", "#", ": a", "null", "1e999", "\ufeff", "\u2028", "İ", "ﬁ"]  # fmt: skip
SCALARS: list[Any] = [None, True, -1, 0, 1, 2**63, 10**30, 0.5, float("nan"), float("inf"), "", "dog", "x" * 300,
                      "coco", "1-3", "3-1", "²", "auto", [], {}, [[]], {"a": 1}, {3: 4}, "a\0b", "\x1b]0;"]  # fmt: skip
TAR_TYPES = [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE,
             tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.CONTTYPE, tarfile.XHDTYPE]  # fmt: skip
YAML_PIECES = ["a: ", "- ", "classes: ", "generate: ", "prompts: {", "}", "[", "]", "&x ", "*x", "<<: ", "!!int ",
               "!!bool foo", "!!python/object/apply:os.system [id]", "!!timestamp x", "!!binary %", "2001-99-99", "? ",
               ": ", "|\n ", ">\n ", "\n", "\t", '"', "'", "\\ud800", "#", "---\n", "...\n", "%YAML 9.9\n",
               "%TAG ! x\n", "{" * 50, "[" * 2000, "1" * 5000,
               "!!set {a}", "!!omap [a]", "0o9", "1:99:99", "~", "\0", "\ufeff", "=", "@", "`"]  # fmt: skip


def class_names(rng: random.Random, folder: Path) -> None:
    """``--classes``: what is accepted is harmless in a path."""
    text = ",".join(rng.choice(WORDS) + rng.choice(["", "", _unicode(rng, 5)]) for _ in range(rng.randint(0, 6)))
    config = parse_section(RunConfig, {"classes": parse_class_list(text)}, "settings")
    _check_classes(config)


def class_file(rng: random.Random, folder: Path) -> None:
    """``--classes-file``."""
    path = folder / "classes.txt"
    lines = [rng.choice(WORDS) + rng.choice([": ", "", "#", ":", ":,,"]) + rng.choice(WORDS)
             for _ in range(rng.choice([0, 1, 3, 20, 400]))]  # fmt: skip
    path.write_bytes(_mutate(rng, _encode(rng, rng.choice(["\n", "\r\n", "\r", "\x0b"]).join(lines))))
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
    path.write_bytes(_mutate(rng, _encode(rng, text)))
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
    data = _mutate(rng, _encode(rng, "\n".join(rows)))
    if rng.random() < 0.05:
        data += b"a" * (3 << 20)  # a line longer than any caption
    if rng.random() < 0.3:
        form += ".gz"
        data = gzip.compress(bytes(200 << 20), 1) if rng.random() < 0.02 else _mutate(rng, gzip.compress(data))
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
    path.write_bytes(_mutate(rng, path.read_bytes(), 0.3))
    _read_corpus(path, rng.choice([None, names[0]]))


def shard(rng: random.Random, folder: Path) -> None:
    """A finished shard whose bytes changed: what it holds is what was written, or it is named as damaged."""
    spec, schema = ShardSpec(0, 0, 3), pa.schema([("key", pa.string()), ("score", pa.list_(pa.float32()))])
    records = [
        Record(sample_key(n), {"key": sample_key(n), "score": [0.5 * n]}, {"a.png": b"x" * 600}) for n in range(3)
    ]
    with ShardWriter(folder, spec, schema, "f") as writer:
        for record in records:
            writer.add(record)
        writer.commit()
    name = rng.choice(["00000.tar", "00000.parquet"])
    (folder / name).write_bytes(_mutate(rng, (folder / name).read_bytes(), 1.0))
    assert list(ShardReader(folder, spec).records()) == records, "changed bytes were taken for good ones"


def foreign_tar(rng: random.Random, folder: Path) -> None:
    """A tar sealed by someone else, its checksum in order: links, sparse members, claimed sizes, strange names."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=rng.choice([tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])) as tar:
        for _ in range(rng.randint(0, 4)):
            member = tarfile.TarInfo(rng.choice(["00000000.a.png", "../../evil.png", "/etc/passwd", "x" * 90, "."]))
            member.type = rng.choice(TAR_TYPES)
            member.linkname, member.size = "/etc/passwd", rng.choice([0, 5, 10**9])
            tar.addfile(member, None)
            data.write(bytes(rng.choice([0, 512])))
    tar_bytes = _mutate(rng, data.getvalue(), 0.3)
    spec = ShardSpec(0, 0, 1)
    with ShardWriter(folder, spec, pa.schema([("key", pa.string())]), "f") as writer:
        writer.add(Record(sample_key(0), {"key": rng.choice([sample_key(0), "../../evil", ""])}))
        writer.commit()
    (folder / "00000.tar").write_bytes(tar_bytes)
    table = pq.read_table(folder / "00000.parquet")
    mark = json.loads(table.schema.metadata[b"dsfactory"])
    mark |= {"tar_sha256": hashlib.sha256(tar_bytes).hexdigest(), "tar_bytes": len(tar_bytes)}
    pq.write_table(table.replace_schema_metadata({b"dsfactory": json.dumps(mark)}), folder / "00000.parquet")
    for record in ShardReader(folder, spec).records():
        assert re.fullmatch(r"\d{8}", record.key)


def run_folder(rng: random.Random, folder: Path) -> None:
    """A run made by someone else: manifests of wrong shapes, links that lead out, folders that are files."""
    outside, run = folder / "outside", folder / "run"
    outside.mkdir()
    (outside / "run.json").write_text("mine")
    (outside / ".lock").write_text("mine")
    stage = run / "generate"
    stage.mkdir(parents=True)
    (run / "run.json").write_bytes(_mutate(rng, json.dumps(_manifest(rng)).encode(), 0.2))
    state = {"stage": "generate", "version": 1, "fingerprint": "f", "upstream": "", "identity": {}}
    (stage / "stage.json").write_text(json.dumps(rng.choice([state, state, {**state, "identity": 3}, [], 3, None])))
    _swap(
        rng,
        rng.choice([run / ".lock", stage / "stage.json", stage, run / "run.json", stage / "00000.parquet"]),
        outside,
    )
    before = {path: path.read_bytes() for path in outside.iterdir()}
    try:
        status_of(run)
        with disk_errors(run, "nothing is lost"), Run.open(run).lock():
            opened = Run.open(run)
            opened.begin_stage(StageState(stage="generate", version=1, fingerprint="g", upstream="", identity={}))
            opened.discard_stage("generate")
            opened.grow(opened.total + 3, 4)
            load_pool(stage / "stage.json", {})
    finally:
        assert {path: path.read_bytes() for path in outside.iterdir()} == before, "something outside the run changed"


def image(rng: random.Random, folder: Path) -> None:
    """PNG files with flipped bytes and claimed sizes."""
    data = bytearray(encode_rgb_png(np.zeros((4, 4, 3), np.uint8)))
    if rng.random() < 0.3:
        data[16:24] = struct.pack(">II", rng.choice([0, 1, 9000, 2**31 - 1]), rng.choice([0, 1, 9000, 2**31 - 1]))
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    try:
        decode_rgb_png(_mutate(rng, bytes(data)))
    except ValueError as error:
        raise DamagedShard(str(error)) from error  # what the refine stage takes it for


TARGETS: dict[str, Target] = {function.__name__: function for function in (
    class_names, class_file, config_file, corpus, parquet_corpus, shard, foreign_tar, run_folder, image)}  # fmt: skip


def _check_classes(config: RunConfig) -> None:
    for item in config.classes:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", item.slug), item.slug
        assert item.name.isprintable() and "/" not in item.name


def _read_corpus(path: Path, column: str | None = None) -> None:
    for caption in Corpus(str(path), column).captions():
        assert caption.text.isprintable() and caption.text == " ".join(caption.text.split())


def _any_config(rng: random.Random) -> dict[Any, Any]:
    names = ["classes", "num", "seed", "shard_size", "prompts", "generate", "refine", "nonsense"]
    fields = ["model", "steps", "width", "corpus", "objects", "pool", "threshold", "max_words", "templates", 3]
    config: dict[Any, Any] = {}
    for name in rng.sample(names, rng.randint(0, 4)):
        inner = {rng.choice(fields): rng.choice(SCALARS) for _ in range(rng.randint(0, 3))}
        config[name] = rng.choice([inner, rng.choice(SCALARS), [rng.choice(WORDS) for _ in range(rng.randint(0, 4))]])
    return config if rng.random() < 0.9 else {rng.choice([3, None, "x" * 9999]): config}


def _manifest(rng: random.Random) -> Any:
    bounds = rng.choice(
        [[[0, 2]], [[0, 10**12]], [[-5, 3]], [[0, 2], [1, 3]], [[3, 1]], [], [[0]], "x", None, [[0, 2**70]]]
    )
    names: Any = rng.choice([[{"name": "dog"}], [{"name": "../x"}], [], ["dog"], None, [{"name": "dog"}] * 300])
    manifest = {"format": rng.choice([1, 1, 1, 2, "1"]), "classes": names, "seed": rng.choice([0, -1, "x", 1e300]),
                "shards": bounds}  # fmt: skip
    return rng.choice([{"format": 1, "classes": [{"name": "dog"}], "seed": 0, "shards": bounds}, manifest, [], 3])


def _swap(rng: random.Random, path: Path, outside: Path) -> None:
    """Put something else in a path's place: a link that leads out of the run, a folder, a file."""
    kind = rng.choice(["nothing", "link", "loop", "folder", "file"])
    if kind == "nothing":
        return
    if path.is_dir():
        for entry in path.iterdir():
            entry.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(outside if path.name == "generate" else outside / rng.choice(["run.json", ".lock", "none"]))
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(rng.choice([b"", b"{}", b"[" * 100_000, b"\xff", b"1" * 5000]))


def _encode(rng: random.Random, text: str) -> bytes:
    return text.encode(rng.choice(["utf-8"] * 6 + ["utf-16", "utf-8-sig", "utf-32-le"]), "surrogatepass")


def _unicode(rng: random.Random, length: int) -> str:
    return "".join(chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x110000)])) for _ in range(length))


def _mutate(rng: random.Random, data: bytes, chance: float = 0.3) -> bytes:
    """With this chance: flip bits, cut, repeat or insert; otherwise as it was. Certain change at 1.0."""
    if rng.random() >= chance or not data:
        return data
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 5])):
        place = rng.randrange(len(changed))
        kind = rng.choice(["flip", "flip", "cut", "insert"])
        if kind == "flip":
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del changed[place : place + rng.choice([1, 10, len(changed)])]
        else:
            changed[place:place] = rng.randbytes(rng.choice([1, 4, 50]))
        if not changed:
            break
    return bytes(changed)
