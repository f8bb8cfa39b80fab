"""Targets: shards, runs and exports that were damaged, or made by someone else with all checksums in order."""

import atexit
import hashlib
import io
import json
import random
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dsfactory.stages.refine.mask  # noqa: F401 -- with PyTorch, before the bound on memory is set
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.shard import ShardReader, ShardSpec, ShardWriter
from dsfactory.core.space import Space
from dsfactory.core.stage import fingerprint
from dsfactory.errors import DsfactoryError, UserError
from dsfactory.jobs.evaluate import _run_set
from dsfactory.jobs.export import export_job
from dsfactory.jobs.job import Request, run_job
from dsfactory.jobs.status import status_of
from dsfactory.report.job import report_job
from dsfactory.runner.progress import Silent
from dsfactory.stages.filter.samples import read_samples, stored
from dsfactory.stages.filter.stage import COLUMNS, FilterStage
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.prompts.pool import load_pool
from dsfactory.stages.splice.stage import SpliceStage
from dsfactory.storage.disk import disk_errors
from dsfactory.verify import verify_path
from scripts.fuzz_bytes import SCALARS, TAR_TYPES, WORDS, mutate, mutate_value
from scripts.rendered_run import LabelledScene, write_run

CLASSES = ("dog", "bird")
FORMATS = ("coco", "cvat", "png", "voc")


@cache
def made_run() -> Path:
    """A run of four small samples in two shards, with labels, verdicts, splices and exports. To be copied."""
    folder = Path(tempfile.mkdtemp(prefix="dsfactory-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    scenes = []
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 255, (32, 40, 3), np.uint8)
        mask = np.zeros((32, 40), np.uint8)
        mask[4 : 20 + number, 6:30] = number % 2 + 1
        mask[2:4] = 255
        scenes.append(LabelledScene(image, mask, (CLASSES[number % 2],)))
    write_run(folder / "run", CLASSES, scenes, shard_size=2)
    run = Run.open(folder / "run")
    _add_verdicts(run)
    _make("splice", run.path, {"num": 2, "mix": "1x2", "paste": 1})
    export_job(run.path, ",".join(FORMATS), None, 0.3)
    return run.path


def _add_verdicts(run: Run) -> None:
    """The filter's shards, as it would write them; its networks are not there."""
    refined = run.stage_state("refine")
    assert refined is not None
    mark = fingerprint("filter", FilterStage.version, {}, refined.fingerprint)
    run.begin_stage(StageState(stage="filter", version=FilterStage.version, fingerprint=mark,
                               upstream=refined.fingerprint, identity={}))  # fmt: skip
    for spec in run.shards():
        with ShardWriter(run.stage_folder("filter"), spec, FilterStage.writes.schema, mark) as writer:
            for record in run.reader("refine", spec).records():
                verdict = {**dict.fromkeys(COLUMNS.names), "kept": True, "drop_reason": "", "fold": 0}
                writer.add(Record(record.key, {**record.row, **verdict}, record.files))
            writer.commit()


def _make(stage: str, run: Path, settings: dict[str, Any], redo: bool = False) -> None:
    run_job(Request((stage,), run, flags={stage: settings}, redo=redo), Silent())


def copy_of_run(folder: Path) -> Path:
    """The made run in a folder of its own, and something beside it that must not change."""
    shutil.copytree(made_run(), folder / "run")
    (folder / "outside").mkdir()
    for name in ("run.json", ".lock", "notes.txt"):
        (folder / "outside" / name).write_text("mine")
    return folder / "run"


def use_everything(run: Path) -> None:
    """All that reads a run; a clear line of one command says nothing about the next."""
    silent = Silent()
    commands: list[Callable[[], Any]] = [
        lambda: status_of(run),
        lambda: verify_path(run, silent),
        lambda: export_job(run, "coco,voc,yolo,cvat", run / "fresh", 0.3),
        lambda: report_job(run, None, 10, silent),
        lambda: _read_all(stored(read_samples(Run.open(run), "generate", "refine")[0])),
        lambda: _read_all(_run_set(Run.open(run), ()).images),
        lambda: _make("splice", run, {"num": 3, "mix": "1x2", "paste": 2}, redo=True),
        lambda: _make("refine", run, {"crf_iterations": 0}, redo=True),
    ]
    for command in commands:
        try:
            command()
        except DsfactoryError as error:
            if len(str(error)) > 1000:
                raise


def _read_all(images: Any) -> None:
    for index in range(len(images)):
        image, mask = images[index]
        assert image.shape[:2] == mask.shape, "an image and a mask of another size are trained on"


def forged_run(rng: random.Random, folder: Path) -> None:
    """One shard with other rows or other files than its stage writes, sealed anew with all checksums in order."""
    run = Run.open(copy_of_run(folder))
    stage = rng.choice(["generate", "refine", "filter", "splice"])
    space = Space.of(run, SpliceStage) if stage == "splice" else run
    spec = rng.choice(space.shards())
    reader = ShardReader(run.stage_folder(stage), spec)
    records = [Record(record.key, dict(record.row), dict(record.files)) for record in reader.records()]
    for _ in range(rng.choice([1, 1, 2])):
        _forge(rng, records)
    try:
        schema = pa.Table.from_pylist([record.row for record in records]).schema
        with ShardWriter(run.stage_folder(stage), spec, schema, reader.mark.fingerprint) as writer:
            for record in records:
                writer.add(record)
            writer.commit()
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        raise UserError("no table can hold these rows") from None
    use_everything(run.path)


def _forge(rng: random.Random, records: list[Record]) -> None:
    record = rng.choice(records)
    kind = rng.choice(["value", "value", "column", "class", "file", "files", "record"])
    if kind == "value":
        name = rng.choice(list(record.row))
        record.row[name] = mutate_value(rng, record.row[name])
    elif kind == "column":
        name = rng.choice(list(record.row))
        for one in records:
            one.row.pop(name, None)
    elif kind == "class":
        record.row["classes"] = [rng.choice(["cat", "dog", *WORDS]) for _ in range(rng.randint(0, 3))]
        record.row["class_name"] = rng.choice(["cat", "bird"])
    elif kind == "file" and record.files:
        name = rng.choice(list(record.files))
        other = rng.choice(records).files
        record.files[name] = rng.choice([mutate(rng, record.files[name], 1.0), *other.values(), b""])
    elif kind == "files" and record.files:
        del record.files[rng.choice(list(record.files))]
    elif kind == "record" and len(records) > 1:
        records.remove(record)


def foreign_json(rng: random.Random, folder: Path) -> None:
    """The JSON files of a run and its exports, changed by someone who knows what they hold."""
    run = copy_of_run(folder)
    (run / "evaluate").mkdir()
    numbers = {"synthetic": 0.5, "real": 0.6, "both": 0.7}
    results = {**{f"miou_{arm}": value for arm, value in numbers.items()}, "ratio": 0.8, "spread": numbers,
               "per_class": {"dog": numbers}, "val_images": 3, "steps": 5}  # fmt: skip
    (run / "evaluate/results.json").write_text(json.dumps(results))
    (run / "fixes").mkdir()
    entry = {name: "0" * 64 for name in ("image_sha256", "replaces_sha256", "mask_sha256", "instances_sha256")}
    (run / "fixes/fixes.json").write_text(json.dumps({"00000000": {**entry, "source": "a", "format": "png"}}))
    path = rng.choice([path for path in sorted(run.rglob("*.json")) if path.is_file()])
    path.write_bytes(mutate(rng, json.dumps(mutate_value(rng, json.loads(path.read_bytes()))).encode(), 0.1))
    use_everything(run)
    assert all(path.read_text() == "mine" for path in (folder / "outside").iterdir()), "something outside changed"


def foreign_export(rng: random.Random, folder: Path) -> None:
    """An export with one file changed, taken away or replaced by something else: ``verify`` names it or is content."""
    run = copy_of_run(folder)
    export = run / "export" / rng.choice(FORMATS)
    path = rng.choice([path for path in sorted(export.rglob("*")) if path.is_file()])
    if path.suffix == ".json" and rng.random() < 0.7:
        path.write_text(json.dumps(mutate_value(rng, json.loads(path.read_bytes()))))
    elif rng.random() < 0.7:
        path.write_bytes(mutate(rng, path.read_bytes(), 1.0))
    else:
        _swap(rng, path, folder / "outside")
    verify_path(rng.choice([export, run]), Silent())
    export_job(run, export.name, None, rng.choice([0.3, 0.5]), redo=True)
    assert all(path.read_text() == "mine" for path in (folder / "outside").iterdir()), "something outside changed"


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
    (folder / name).write_bytes(mutate(rng, (folder / name).read_bytes(), 1.0))
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
    tar_bytes = mutate(rng, data.getvalue(), 0.3)
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
    (run / "run.json").write_bytes(mutate(rng, json.dumps(_manifest(rng)).encode(), 0.2))
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
            opened.discard(GenerateStage)
            opened.grow(opened.total + 3, 4)
            load_pool(stage / "stage.json", {}, None)
    finally:
        assert {path: path.read_bytes() for path in outside.iterdir()} == before, "something outside the run changed"


def _manifest(rng: random.Random) -> Any:
    bounds = rng.choice(
        [[[0, 2]], [[0, 10**12]], [[-5, 3]], [[0, 2], [1, 3]], [[3, 1]], [], [[0]], "x", None, [[0, 2**70]]]
    )
    names: Any = rng.choice([[{"name": "dog"}], [{"name": "../x"}], [], ["dog"], None, [{"name": "dog"}] * 300])
    manifest = {"format": rng.choice([1, 1, 1, 2, "1"]), "classes": names, "seed": rng.choice([0, -1, "x", 1e300]),
                "shards": bounds}  # fmt: skip
    good = {"format": 1, "classes": [{"name": "dog"}], "seed": 0, "shards": bounds}
    return rng.choice([good, manifest, [], 3, rng.choice(SCALARS)])


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
