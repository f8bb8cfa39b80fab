"""Commands on ``s3://``: real processes, a real S3-speaking server, and what goes wrong between them."""

import json

import pytest

from tests.command import call_tiny, command, run_tiny, tree
from tests.s3_server import ENVIRONMENT, uploads

RUN = ("run", "--format", "coco", "--shard-size", "2", "--set", "refine.min_box=0")


@pytest.fixture(scope="module")
def local(tiny_model, tmp_path_factory):
    """A run on the disk, not to be changed."""
    folder = tmp_path_factory.mktemp("local")
    done = call_tiny(tiny_model, *RUN, "--out", "a", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory):
    """Where commands keep their private folders."""
    return tmp_path_factory.mktemp("mirrors")


def stored(s3, bucket, prefix):
    found = s3.objects(bucket, prefix)
    return {name: data for name, data in found.items() if name != "log.jsonl"}


def one_line(done):
    lines = done.stderr.strip().splitlines()
    assert lines and lines[-1].startswith("dsfactory: ") and "Traceback" not in done.stderr, done.stderr
    return lines[-1]


def fill(s3, bucket, folder, prefix):
    for name, data in tree(folder).items():
        s3.put(bucket, f"{prefix}/{name}", data)


@pytest.mark.long
def test_killed_in_the_middle_of_an_upload_and_resumed_equals_a_local_run(s3, local, mirrors, tiny_model, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(mirrors))
    bucket = s3.bucket()
    arguments = (*RUN, "--out", f"s3://{bucket}/runs/a")
    s3.fault = uploads("generate/00001.parquet", what="hang")
    child = run_tiny(tiny_model, *arguments, cwd=mirrors, wait=False)
    assert s3.hanging.wait(300)
    child.kill()
    child.communicate()
    s3.calm()
    there = stored(s3, bucket, "runs/a")
    expected = tree(local / "a")
    assert "generate/00001.tar" in there and "generate/00001.parquet" not in there
    assert {name: data for name, data in there.items() if name in expected and name != "config.yaml"}.items() <= (
        expected.items()
    )
    done = run_tiny(tiny_model, *arguments, cwd=mirrors)
    assert done.returncode == 0, done.stderr
    assert "2 made now" not in done.stdout.splitlines()[0] and f"in s3://{bucket}/runs/a" in done.stdout
    assert stored(s3, bucket, "runs/a") == expected
    everything = b"".join(s3.objects(bucket, "runs/a").values()) + (done.stdout + done.stderr).encode()
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"].encode() not in everything
    assert json.loads(s3.objects(bucket, "runs/a")["log.jsonl"].splitlines()[-1])["exit_code"] == 0
    status = command("status", f"s3://{bucket}/runs/a", "--json", cwd=mirrors)
    here = json.loads(command("status", "a", "--json", cwd=local).stdout)
    assert json.loads(status.stdout) == {**here, "run": f"s3://{bucket}/runs/a"}


@pytest.mark.long
def test_a_server_that_dies_ends_the_command_in_one_line_and_the_same_command_goes_on(s3, local, tmp_path):
    bucket = s3.bucket()
    fill(s3, bucket, local / "a", "runs/a")
    arguments = ("refine", f"s3://{bucket}/runs/a", "--redo", "--set", "refine.threshold=0.4")
    s3.fault = uploads("refine/00001.tar", what="hang")
    child = command(*arguments, cwd=tmp_path, wait=False)
    assert s3.hanging.wait(300)
    s3.die()
    _, errors = child.communicate(timeout=300)
    assert child.returncode == 2
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"dsfactory: s3://{bucket}/runs/a cannot be used: ") and "Traceback" not in errors
    s3.start()
    there = stored(s3, bucket, "runs/a")
    assert "refine/00000.parquet" in there
    assert not {"refine/00001.tar", "refine/00001.parquet", "refine/00002.parquet"} & there.keys()
    done = command(*arguments[:2], *arguments[3:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len([name for name in stored(s3, bucket, "runs/a") if name.startswith("refine/0")]) == 6


def test_a_local_run_is_exported_verified_and_reported(s3, local, tmp_path):
    bucket = s3.bucket()
    done = command("export", str(local / "a"), "--out", f"s3://{bucket}/data", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"s3://{bucket}/data" in done.stdout
    assert s3.objects(bucket, "data") == tree(local / "a" / "export" / "coco")
    verified = command("verify", f"s3://{bucket}/data", cwd=tmp_path)
    assert verified.returncode == 0 and "all is well (6 coco images)" in verified.stdout
    s3.put(bucket, "data/images/train/00000001.png", b"flipped")
    assert command("verify", f"s3://{bucket}/data", cwd=tmp_path).returncode == 3


@pytest.mark.long
def test_report_and_splice_work_on_a_run_in_a_bucket(s3, local, tmp_path):
    bucket = s3.bucket()
    fill(s3, bucket, local / "a", "runs/a")
    for arguments in (("splice", "--num", "3", "--mix", "1x2=1"), ("report",)):
        done = command(arguments[0], f"s3://{bucket}/runs/a", *arguments[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    there = stored(s3, bucket, "runs/a")
    assert {"splice/00000.parquet", "splice/00000.tar", "splice/stage.json", "report.html"} <= there.keys()
    assert b"dsfactory-remote-" not in b"".join(there.values())


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["status", "s3://no-such-bucket/a"], {}, "there is no bucket no-such-bucket"),
        (["status", "s3://BUCKET/a"], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials"),
        (["status", "s3://BUCKET/a"], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be used"),
        (["refine", "s3://BUCKET/a"], {}, "is not there"),
        (["report", "s3://BUCKET/a", "--out", "s3://BUCKET/x.html"], {}, "only runs and exports can be in a bucket"),
    ],
)
def test_a_mistake_is_one_clear_line(s3, tmp_path, arguments, environment, says):
    bucket = s3.bucket()
    words = [word.replace("BUCKET", bucket) for word in arguments]
    done = command(*words, cwd=tmp_path, **environment)
    assert done.returncode == 2, done.stderr
    assert says in one_line(done) and len(done.stderr.strip().splitlines()) == 1
    assert not s3.client.list_objects_v2(Bucket=bucket).get("Contents") and not list(tmp_path.iterdir())
