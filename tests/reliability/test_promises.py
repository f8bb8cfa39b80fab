"""What SECURITY.md promises of every run: no network unless a hub model is named, no token kept, the user's umask."""

import os
import stat

import pytest

from tests.command import run_tiny

WATCH = """
import sys
with open({log!r}, "a") as log:
    log.write("watching\\n")
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "os.system"):
        with open({log!r}, "a") as log:
            log.write(f"{{event}} {{arguments!r}}\\n")
sys.addaudithook(watch)
"""


@pytest.mark.long
def test_a_run_asks_nobody_keeps_no_token_and_respects_the_umask(tiny_model, tmp_path, monkeypatch):
    log = tmp_path / "events"
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hook"))
    monkeypatch.setenv("HF_TOKEN", "hf_never_to_be_seen")
    before = os.umask(0o027)
    try:
        done = run_tiny(tiny_model, "run", "--num", "1", "--out", "a", "--set", "refine.min_box=0", cwd=tmp_path)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    events = log.read_text().splitlines()
    assert events[0] == "watching"
    assert [event for event in events if event.startswith(("socket.", "os.system"))] == []
    assert "hf_never_to_be_seen" not in done.stdout + done.stderr
    for path in (tmp_path / "a").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path
        assert path.is_dir() or b"hf_never_to_be_seen" not in path.read_bytes(), path
