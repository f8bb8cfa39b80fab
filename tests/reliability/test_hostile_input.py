"""Input that means harm, or might as well: one clear line, no write outside the run, no runaway memory or time."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsfactory.core.classes import ClassSpec, parse_class_list, read_class_file
from dsfactory.core.png import decode_rgb_png, encode_rgb_png
from dsfactory.core.reading import read_yaml
from dsfactory.core.run import Run, StageState
from dsfactory.core.sample import Record, sample_key
from dsfactory.core.section import parse_section
from dsfactory.core.shard import ShardReader, ShardSpec, ShardWriter
from dsfactory.errors import DamagedShard, DsfactoryError, RunLocked, UserError
from dsfactory.formats.folder import FolderTarget
from dsfactory.jobs.settings import resolve_config
from dsfactory.stages import RunConfig
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.prompts.corpus import Corpus
from dsfactory.storage.lock import exclusive_lock

shared = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def clear_line(call, *arguments):
    """Call it; what it raises, if anything, is one line that a user can read."""
    try:
        return call(*arguments)
    except DsfactoryError as error:
        assert 0 < len(str(error)) < 1000
        return None


@shared
@given(st.text() | st.text("dog,- '/.\\\0\n", max_size=20))
def test_any_class_list(text):
    config = clear_line(lambda: parse_section(RunConfig, {"classes": parse_class_list(text)}, "settings"))
    for item in config.classes if config else ():
        assert item.slug and set(item.slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert item.name.isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["dog", "1-3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["classes", "num", "seed", "shard_size", "prompts", "generate", "refine"]) | st.text(max_size=5)


@shared
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_settings(values):
    clear_line(resolve_config, None, None, values)


@shared
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
       form=st.sampled_from([".txt", ".csv", ".tsv", ".jsonl", ".csv.gz", ".parquet"]))  # fmt: skip
def test_any_bytes_as_captions_and_as_configuration(tmp_path, data, form):
    path = tmp_path / f"file{form}"
    path.write_bytes(data)
    for caption in clear_line(lambda: list(Corpus(str(path)).captions())) or ():
        assert caption.text.isprintable()
    clear_line(resolve_config, path, path, {})
    clear_line(read_class_file, path)


BOMB = "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(12))


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "classes: *a11",
        "a: &a {x: 1}\nb: {<<: [*a]}",
        "classes: &c [*c]",
        "a: " + "[" * 20_000,
        "a: !!bool foo",
        "a: !!int ''",
        "a: !!timestamp x",
        "a: 2001-99-99",
        "a: " + "1" * 5000,
        "a: " + "x" * 300_000,
        "\0",
    ],
    ids=lambda text: text[:20],
)
def test_yaml_that_harms_is_refused(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(tmp_path / "run.yaml")
    assert len(str(caught.value)) < 300


def test_deep_and_long_values_are_shown_short():
    value = ["x" * 10**6] * 10**4
    for _ in range(500):
        value = [value, value]  # written out, this would have 2^500 entries
    with pytest.raises(UserError) as caught:
        resolve_config(None, None, {"classes": ["dog"], "num": value})
    assert len(str(caught.value)) < 200
    with pytest.raises(UserError) as caught:
        resolve_config(None, None, {"classes": ["dog"], "\x1b[2J" + "x" * 10**6: 1})
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_class_files_are_read_within_bounds(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("\n".join(f"c{number}" for number in range(100_000)))
    with pytest.raises(UserError, match="too many classes"):
        read_class_file(path)
    path.write_text("x\n" * 10**6)
    with pytest.raises(UserError, match="more than 1 MB"):
        read_class_file(path)
    # Normalising takes time quadratic in a run of accents; this one would take hours.
    with pytest.raises(UserError, match="the limit is 64"):
        parse_section(ClassSpec, {"name": "a" + "\u0301\u0327" * 10**6}, "classes")


def test_a_pipe_is_read_as_a_file_and_within_bounds(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for line, known in (("dog", True), ("yes dog", False)):
        with subprocess.Popen(["sh", "-c", f"{'echo dog' if known else line} > {pipe}"], stderr=subprocess.DEVNULL):
            if known:
                assert [item["name"] for item in read_class_file(pipe)] == ["dog"]
            else:
                with pytest.raises(UserError, match="more than"):
                    read_class_file(pipe)


def test_captions_that_would_fill_memory_or_time(tmp_path):
    packed = tmp_path / "bomb.txt.gz"
    packed.write_bytes(gzip.compress(bytes(50 << 20), 1))
    with pytest.raises(UserError, match="longer than 1 MiB"):
        list(Corpus(str(packed)).captions())
    accents = tmp_path / "accents.txt"
    accents.write_text("a" + "\u0301\u0327" * 200_000)
    assert len(next(Corpus(str(accents)).captions()).text) <= 4000
    quoted = tmp_path / "quoted.csv"
    quoted.write_text('caption\n"never closed\n' + "a dog\n" * 200_000)
    with pytest.raises(UserError, match="longer than 1 MiB: is one not closed"):
        list(Corpus(str(quoted)).captions())


def test_parquet_of_doubtful_text(tmp_path):
    path = tmp_path / "captions.parquet"
    wrong = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    for array, names, says in (
        (wrong, ["caption"], "not UTF-8"),
        (pa.array(["x"]), ["caption"] * 2, "several columns"),
    ):
        pq.write_table(pa.Table.from_arrays([array] * len(names), names=names), path)
        with pytest.raises(UserError, match=says):
            list(Corpus(str(path)).captions())


@pytest.mark.parametrize("name", ["x" * 5000 + ".csv", "a\0b.csv", "~nobodyhere/a.csv", "/dev/zero", "."])
def test_corpus_names_that_are_no_files(name):
    with pytest.raises(UserError):
        Corpus(name)


# A run made by someone else.

STATE = StageState(stage="generate", version=1, fingerprint="f", upstream="", identity={})


@pytest.fixture
def run(tmp_path):
    with Run.claim(tmp_path / "run", (ClassSpec(name="dog"),), 0) as made:
        made.grow(4, 2)
    return made


@pytest.mark.parametrize(
    "shards",
    ["[[0, 1000000000000]]", "[[-5, 3]]", "[[0, 2], [1, 3]]", "[[2, 4]]", "[[3, 1]]", "[[0, 0]]", "3", "[" * 9999],
)
def test_shard_bounds_that_cannot_be(run, shards):
    text = f'{{"format": 1, "classes": [{{"name": "dog"}}], "seed": 0, "shards": {shards}}}'
    (run.path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json"):
        Run.open(run.path)


def test_a_run_of_an_impossible_name(tmp_path):
    with pytest.raises(UserError, match="is not there"):
        Run.open(tmp_path / ("x" * 300))


@pytest.mark.parametrize("content", ["[]", "3", "{}", "[" * 9999, "\udcff", None])
def test_stage_states_that_cannot_be(run, content):
    path = run.path / "generate" / "stage.json"
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"stage\.json"):
        run.stage_state("generate")


def test_links_in_a_run_lead_nowhere(run, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("stage.json", "00000.tar", "00000.parquet", "notes.txt"):
        (outside / name).write_text("mine")
    (run.path / "generate").symlink_to(outside)
    for change in (run.begin_stage, lambda state: run.discard(GenerateStage)):
        with pytest.raises(UserError, match="is a link"):
            change(STATE)
    (run.path / ".lock").unlink()
    (run.path / ".lock").symlink_to(outside / "notes.txt")
    with pytest.raises(UserError, match="not a plain file"), run.lock():
        pass
    assert {path.name: path.read_text() for path in outside.iterdir()} == dict.fromkeys(
        ["stage.json", "00000.tar", "00000.parquet", "notes.txt"], "mine"
    )


def test_a_file_in_a_stage_folders_place(run):
    (run.path / "generate").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        run.begin_stage(STATE)
    assert (run.path / "generate").read_text() == "mine"


def test_a_lock_that_is_a_pipe_or_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(UserError, match="not a plain file"), exclusive_lock(tmp_path / name):
            pass


def test_an_unreadable_holder_is_another_process(tmp_path):
    with exclusive_lock(tmp_path / "lock"):
        (tmp_path / "lock").write_text("[" * 100_000)
        with pytest.raises(RunLocked, match="another process"), exclusive_lock(tmp_path / "lock"):
            pass


def test_an_export_is_not_led_astray(tmp_path):
    """A hidden folder of ours may be cleared; a link of that name leads to somebody else's."""
    precious = tmp_path / "precious"
    precious.mkdir()
    for name in (".lock", "dsfactory.json", "thesis.txt"):
        (precious / name).write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".coco.tmp-dsfactory").symlink_to(precious)
    with pytest.raises(UserError, match="was not made by dsfactory"), FolderTarget(tmp_path / "a" / "coco").writing():
        pass
    (tmp_path / "a" / ".coco.tmp-dsfactory").unlink()
    (tmp_path / "a" / ".coco.old-12345678").symlink_to(precious)
    with FolderTarget(tmp_path / "a" / "coco").writing():
        pass
    assert len(list(precious.iterdir())) == 3


SCHEMA = pa.schema([("key", pa.string()), ("score", pa.list_(pa.float32())), ("reason", pa.string())])


def write_shard(folder, keys):
    with ShardWriter(folder, ShardSpec(0, 0, len(keys)), SCHEMA, "f") as writer:
        for key in keys:
            writer.add(Record(key, {"key": key, "score": [0.5, 0.25], "reason": "no mask for dog"}))
        writer.commit()


def test_no_flipped_bit_in_a_table_goes_unseen(tmp_path):
    keys = [sample_key(number) for number in range(4)]
    write_shard(tmp_path, keys)
    path = tmp_path / "00000.parquet"
    good, spec = path.read_bytes(), ShardSpec(0, 0, 4)
    rows = ShardReader(tmp_path, spec).rows
    seen = 0
    for place in range(0, len(good), 3):
        changed = bytearray(good)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            assert ShardReader(tmp_path, spec).rows == rows
        except DamagedShard:
            seen += 1
    assert seen > len(good) // 12


@pytest.mark.parametrize("key", ["../../evil", "/etc/passwd", "", "00000009"])
def test_keys_are_never_paths(tmp_path, key):
    write_shard(tmp_path, [key])
    with pytest.raises(DamagedShard, match="keys"):
        ShardReader(tmp_path, ShardSpec(0, 0, 1)).rows  # noqa: B018


def test_a_table_of_other_samples_is_not_taken(tmp_path):
    write_shard(tmp_path, [sample_key(0), sample_key(1)])
    with pytest.raises(DamagedShard, match="holds the samples 0 to 2, not 0 to 4"):
        ShardReader(tmp_path, ShardSpec(0, 0, 4))


def test_an_image_of_a_claimed_size_is_not_decoded():
    import struct
    import zlib

    import numpy as np

    data = bytearray(encode_rgb_png(np.zeros((4, 4, 3), np.uint8)))
    for side in (9000, 2**31 - 1):
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        with pytest.raises(ValueError, match="not a readable PNG"):
            decode_rgb_png(bytes(data))


@pytest.mark.long
def test_fuzzing_finds_nothing():
    """A short form of ``make fuzz``, within its bound on memory; tars that claim gigabytes are among the inputs."""
    line = [sys.executable, "-m", "scripts.fuzz", "--count", "4", "--seed", "7"]
    done = subprocess.run(line, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"inputs": 72' in done.stdout and '"tracebacks": 0' in done.stdout
