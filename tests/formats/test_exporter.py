import errno
import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dsfactory.core.png import encode_index_png
from dsfactory.errors import DsfactoryError, RunLocked, UserError
from dsfactory.formats import FORMATS
from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, labels, sample, samples


def run(format, out, items=None, **options):
    settings = {"fingerprint": "f", "model": "pocket", **options}
    return export(format, samples(6) if items is None else items, CLASSES, out, **settings)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def untouchable():
    raise AssertionError("a sample was asked for")
    yield


pytestmark = pytest.mark.parametrize("format", sorted(FORMATS))


def test_equal_samples_give_equal_bytes(format, tmp_path):
    run(format, tmp_path / "a" / "x")
    run(format, tmp_path / "b" / "y")
    assert contents(tmp_path / "a" / "x") == contents(tmp_path / "b" / "y") != {}


def test_nothing_but_the_dataset_is_left(format, tmp_path):
    run(format, tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert not [path for path in (tmp_path / "d").rglob("*") if path.name.startswith(".") or path.suffix == ".part"]


def test_finished_export_is_left_alone(format, tmp_path):
    first = run(format, tmp_path / "d")
    again = run(format, tmp_path / "d", untouchable())
    assert (first.made, again.made) == (True, False)
    assert replace(again, made=True) == first
    assert sum(first.images.values()) == 6 and sum(first.instances.values()) == 18
    assert json.loads(json.dumps(first.as_json()))["images"] == first.images


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"val_share": 0.5}, "val_share: 0.1 → 0.5"),
        ({"fingerprint": "g"}, "samples have changed"),
        ({"model": "sd15"}, "sd15"),
    ],
)
def test_another_export_is_replaced_only_on_request(format, tmp_path, change, named):
    run(format, tmp_path / "d")
    before = contents(tmp_path / "d")
    with pytest.raises(UserError, match=r"--redo") as error:
        run(format, tmp_path / "d", untouchable(), **change)
    assert named in str(error.value)
    assert contents(tmp_path / "d") == before
    assert run(format, tmp_path / "d", samples(4), redo=True, **change).made
    run(format, tmp_path / "fresh", samples(4), **change)
    assert contents(tmp_path / "d") == contents(tmp_path / "fresh") != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "fresh"]


@pytest.mark.parametrize("redo", [False, True])
def test_foreign_folder_is_refused_and_untouched(format, tmp_path, redo):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not an export of dsfactory"):
        run(format, tmp_path / "d", untouchable(), redo=redo)
    assert contents(tmp_path / "d") == {"thesis.txt": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("place", [".", "images/train", "SegmentationClass", "runs/exp"])
def test_redo_spares_an_export_that_holds_more_files(format, tmp_path, place):
    run(format, tmp_path / "d")
    (tmp_path / "d" / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "d" / place / "weights.pt").write_bytes(b"mine")
    before = contents(tmp_path / "d")
    with pytest.raises(UserError, match="did not write"):
        run(format, tmp_path / "d", untouchable(), redo=True)
    assert contents(tmp_path / "d") == before


def test_empty_folder_and_link_are_welcome(format, tmp_path):
    (tmp_path / "disk" / "d").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "d")
    run(format, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "d" / "dsfactory.json").is_file()


@pytest.mark.parametrize("problem", ["file", "below a file", "damaged manifest"])
def test_unusable_target_is_one_clear_line(format, tmp_path, problem):
    out = tmp_path / "d"
    if problem == "damaged manifest":
        out.mkdir()
        (out / "dsfactory.json").write_text("{")
    else:
        out.write_text("mine")
    with pytest.raises(UserError) as error:
        run(format, out / "x" if problem == "below a file" else out, untouchable(), redo=True)
    assert "\n" not in str(error.value)


def test_no_sample_writes_nothing(format, tmp_path):
    with pytest.raises(UserError, match="no finished sample"):
        run(format, tmp_path / "d", iter(()))
    assert list(tmp_path.iterdir()) == []


def test_full_disk_writes_nothing(format, tmp_path):
    def ends_badly():
        yield sample(0)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="no space left"):
        run(format, tmp_path / "d", ends_badly())
    assert list(tmp_path.iterdir()) == []


def test_interrupted_export_writes_nothing(format, tmp_path):
    def interrupted():
        yield sample(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(format, tmp_path / "d", interrupted())
    assert list(tmp_path.iterdir()) == []


def test_labels_that_do_not_fit_are_named(format, tmp_path):
    good = sample(0)
    mask, instances = labels(0)
    unknown = np.where(mask == 2, 3, mask).astype(np.uint8)
    hollow = np.where(mask == 2, 0, mask).astype(np.uint8)
    for bad, reason in (
        (replace(good, mask_png=encode_index_png(unknown)), "class id 3"),
        (replace(good, mask_png=encode_index_png(hollow)), "no class"),
        (replace(good, instances_png=encode_index_png(instances[:-1])), "differ in size"),
    ):
        with pytest.raises(DsfactoryError, match=f"00000000.*{reason}"):
            run(format, tmp_path / "d", [bad])
    assert list(tmp_path.iterdir()) == []


def test_two_samples_of_one_key_are_no_dataset(format, tmp_path):
    if format in ("parquet", "webdataset"):
        pytest.skip("has no file per sample")
    with pytest.raises(UserError, match="File exists"):
        run(format, tmp_path / "d", [sample(0), sample(0)])
    assert list(tmp_path.iterdir()) == []


MEMORY = """
import sys, tracemalloc
from pathlib import Path
from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, samples

for count in (20, 20, 320):  # the first one fills caches
    tracemalloc.start()
    export(sys.argv[1], samples(count), CLASSES, Path(sys.argv[2]), fingerprint="f", model="pocket", redo=True)
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_dataset(format, tmp_path):
    command = [sys.executable, "-c", MEMORY, format, str(tmp_path / "d")]
    _, few, many = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    # Both peaks lie between 0.25 and 0.45 MB, by the garbage collector's mood. 300 samples have 3 MB of files; their
    # COCO annotations alone are 0.4 MB of text, and several times that as objects.
    assert many - few < 300_000


SLOW_EXPORT = """
import sys, time
from pathlib import Path
from dsfactory.formats.exporter import export
from tests.formats.scenes import CLASSES, samples

def slowly():
    for sample in samples(200):
        time.sleep(0.02)
        print(sample.key, flush=True)
        yield sample

export(sys.argv[1], slowly(), CLASSES, Path(sys.argv[2]), fingerprint="g", model="pocket", redo=True)
"""


@pytest.fixture
def exporting(format, tmp_path):
    """A process in the middle of an export to ``tmp_path / "d"``."""
    process = start(format, tmp_path / "d")
    yield process
    process.kill()
    process.wait()


def start(format, out):
    process = subprocess.Popen([sys.executable, "-c", SLOW_EXPORT, format, str(out)], stdout=subprocess.PIPE, text=True)
    for _ in range(10):
        assert process.stdout.readline()
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_killed_export_is_invisible_and_the_next_one_cleans_up(format, tmp_path, exporting):
    kill(exporting)
    assert not (tmp_path / "d").exists()
    run(format, tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    run(format, tmp_path / "fresh")
    assert contents(tmp_path / "d") == contents(tmp_path / "fresh")


def test_what_a_kill_left_of_a_replaced_export_is_cleared(format, tmp_path):
    run(format, tmp_path / "d")
    (tmp_path / "d").rename(tmp_path / ".d.old-0a1b2c3d")
    (tmp_path / ".d.old-mine").mkdir()
    (tmp_path / ".d.old-mine" / "thesis.txt").write_text("mine")
    assert run(format, tmp_path / "d", fingerprint="g").made
    assert sorted(path.name for path in tmp_path.iterdir()) == [".d.old-mine", "d"]


def test_a_kill_just_before_the_renaming_is_cleared(format, tmp_path):
    run(format, tmp_path / "d")
    (tmp_path / "d").rename(tmp_path / ".d.tmp-dsfactory")  # complete, its lock is gone
    assert run(format, tmp_path / "d", fingerprint="g").made
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_two_processes_do_not_share_a_target(format, tmp_path, exporting):
    with pytest.raises(RunLocked, match=str(exporting.pid)):
        run(format, tmp_path / "d", untouchable())
    assert exporting.poll() is None


def test_killed_redo_leaves_the_old_export(format, tmp_path):
    run(format, tmp_path / "d")
    before = contents(tmp_path / "d")
    kill(start(format, tmp_path / "d"))
    assert contents(tmp_path / "d") == before
    assert not run(format, tmp_path / "d", untouchable()).made
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
