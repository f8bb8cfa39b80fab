"""``dsfactory models`` as a user runs it, against a hub on this machine."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import command
from tests.models.hub import Fault, serve

PROMISED_S = 10
"""Three seconds are promised; other tests run beside. Unstopped, these downloads take a minute."""


@pytest.fixture
def hub(tiny_model):
    with serve({"owner/model": tiny_model, "stabilityai/sdxl-turbo": tiny_model}) as hub:
        yield hub


def models(hub, folder, *arguments, **how):
    return command("models", *arguments, cwd=folder, HF_ENDPOINT=hub.url, HF_HOME=str(folder / "hf"), **how)


@pytest.mark.long
def test_a_model_is_fetched_beforehand(hub, tmp_path):
    before = models(hub, tmp_path, "check", "owner/model")
    assert before.returncode == 2 and "next     dsfactory models fetch owner/model" in before.stdout
    done = models(hub, tmp_path, "fetch", "https://huggingface.co/owner/model")
    assert done.returncode == 0, done.stderr
    assert re.match(r"owner/model is ready \(\d+ MB\): ", done.stdout)
    assert done.stderr.startswith("Fetching model owner/model from the hub: ")
    assert models(hub, tmp_path, "check", "owner/model").returncode == 0
    again = models(hub, tmp_path, "fetch", "owner/model", "--json")
    assert json.loads(again.stdout)["ready"] and again.stderr == ""


def test_quiet_says_nothing(hub, tmp_path):
    done = models(hub, tmp_path, "fetch", "owner/model", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_keeps_the_preset_of_what_was_fetched_into_it(hub, tmp_path):
    done = models(hub, tmp_path, "fetch", "sdxl-turbo", "--to", "turbo", "--quiet")
    assert done.returncode == 0, done.stderr
    dry = command("generate", "--model", "./turbo", "--classes", "dog", "--num", "1", "--dry-run", cwd=tmp_path)
    assert "512 × 512" in dry.stdout, dry.stdout + dry.stderr
    assert models(hub, tmp_path, "fetch", "sdxl-turbo", "--to", "turbo", "--quiet").returncode == 0
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("mine")
    refused = models(hub, tmp_path, "fetch", "sdxl-turbo", "--to", "thesis")
    assert refused.returncode == 2 and "--to thesis holds other things" in refused.stderr


def test_what_is_here_is_not_fetched(hub, tmp_path):
    done = models(hub, tmp_path, "fetch", "pocket")
    assert done.returncode == 2 and "pocket is on this machine already" in done.stderr
    assert hub.asked == []


def test_the_list_says_what_a_model_needs(hub, tmp_path):
    done = models(hub, tmp_path, "list")
    assert done.returncode == 0 and hub.asked == []
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "ready" in lines["pocket"]
    assert "to download: 16000 MB" in lines["sd35"] and "gated" in lines["sd35"] and "22 GB GPU" in lines["sd35"]
    assert "gated" not in lines["sdxl"]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["slow", "silent", "the listing is silent"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_download(hub, tmp_path, kind, number):
    if kind == "slow":
        hub.rate = 20_000
    else:
        hub.faults = [Fault("/store/*" if kind == "silent" else "/api/*", hang=60)]
    child = models(hub, tmp_path, "fetch", "owner/model", wait=False)
    end = time.monotonic() + 60
    while not any(path.startswith("/api" if "listing" in kind else "/store") for _, path, _ in hub.asked):
        assert child.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.3)
    start = time.monotonic()
    os.kill(child.pid, number)
    err = child.communicate(timeout=60)[1]
    assert time.monotonic() - start < PROMISED_S
    assert child.returncode == 5 and "finished files are kept, run the same command again" in err
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    hub.rate, hub.faults = None, []
    assert models(hub, tmp_path, "fetch", "owner/model").returncode == 0


def test_a_download_dies_with_the_command_that_began_it(hub, tmp_path):
    hub.rate = 20_000
    child = models(hub, tmp_path, "fetch", "owner/model", wait=False)
    while not any(path.startswith("/store") for _, path, _ in hub.asked):
        assert child.poll() is None
        time.sleep(0.02)
    helper = int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()[0])
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    end = time.monotonic() + PROMISED_S
    while Path(f"/proc/{helper}").exists() and "Z" not in Path(f"/proc/{helper}/stat").read_text().split()[2]:
        assert time.monotonic() < end
        time.sleep(0.02)
    hub.rate = None
    assert models(hub, tmp_path, "fetch", "owner/model").returncode == 0
    assert not list((tmp_path / "hf").rglob("*.incomplete")), "what a killed one left is removed by the next"


def test_two_that_want_the_same_model_fetch_it_once(hub, tmp_path):
    hub.rate = 1_000_000
    both = [models(hub, tmp_path, "fetch", "owner/model", wait=False) for _ in range(2)]
    said = [child.communicate(timeout=60) for child in both]
    assert [child.returncode for child in both] == [0, 0], said
    assert len(hub.fetched) == len(set(hub.fetched))
    assert any("another process fetches model owner/model: waiting for it" in err for _, err in said)


def test_a_run_that_fetches_its_model_ends_at_a_signal_too(hub, tmp_path):
    hub.faults = [Fault("/store/*", hang=60)]
    child = command("generate", "--classes", "dog", "--model", "owner/model", cwd=tmp_path, wait=False,
                    HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"))  # fmt: skip
    while not any(path.startswith("/store") for _, path, _ in hub.asked):
        assert child.poll() is None
        time.sleep(0.02)
    start = time.monotonic()
    child.terminate()
    child.communicate(timeout=60)
    assert time.monotonic() - start < PROMISED_S and child.returncode == 5


def test_a_terminal_gets_a_bar(hub, tmp_path):
    """A real terminal: the bar is drawn in place, with bytes, rate and what is left."""
    hub.rate = 1_000_000
    outer, inner = pty.openpty()
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "TERM": "xterm",
                   "COLUMNS": "120", "HF_HUB_OFFLINE": "0"}  # fmt: skip
    child = subprocess.Popen([sys.executable, "-m", "dsfactory", "models", "fetch", "owner/model"], cwd=tmp_path,
                             stdout=inner, stderr=inner, stdin=inner, env=environment)  # fmt: skip
    os.close(inner)
    said = b""
    while select.select([outer], [], [], 60)[0]:
        try:
            said += os.read(outer, 65536)
        except OSError:
            break
    assert child.wait(60) == 0, said.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    assert re.search(r"fetching owner/model .*/\d+(\.\d+)? [kM]B .* [kM]B/s left \d", text), text
    assert text.count("\n") < 5, "the bar is to stay in its place"


def test_the_bar_of_a_run_steps_aside(monkeypatch):
    from dsfactory.models import download_bar
    from dsfactory.runner.progress import choose_progress

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with choose_progress(silent=False) as progress:
        live = progress._bar.live
        with download_bar.choose_bar("owner/model") as bar:
            bar.begin(1000)
            assert not live.is_started
        assert live.is_started
    choose_progress(silent=True)
    with download_bar.choose_bar("owner/model") as bar:
        assert isinstance(bar, download_bar.Silent)
    choose_progress(silent=False)


def test_elsewhere_there_is_a_line_every_half_minute(monkeypatch, capsys):
    from dsfactory.models import download_bar

    now = [0.0]
    monkeypatch.setattr(download_bar.time, "monotonic", lambda: now[0])
    bar = download_bar.Plain("owner/model")
    bar.begin(1_000_000_000)
    for second in range(61):
        now[0] = float(second)
        bar.at(second * 10_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "Fetching model owner/model from the hub: 1,000 MB",
        "model owner/model: 300 of 1,000 MB, 10.0 MB/s, about 70 s left",
        "model owner/model: 600 of 1,000 MB, 10.0 MB/s, about 40 s left",
    ]
