"""What a user sees when a model hub misbehaves: scenario, what is printed, exit code, seconds.

A hub on this machine plays every part; nothing leaves the machine. Run it from the project's root::

    python -m research.hub_scenarios [PART OF A SCENARIO'S NAME …]
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.models.hub import Fault, Hub, serve
from tests.tiny_models import tiny_sd

NOWHERE = "http://127.0.0.1:9"


@dataclass
class Scenario:
    """One way in which things go.

    Attributes:
        name: for the table.
        prepare: what to do to the hub and the cache.
        environment: variables for the command.
        arguments: what follows ``dsfactory models fetch``.
        stop: signal that is sent once weights are asked for.
    """

    name: str
    prepare: Callable[[Hub, Path], object] = lambda hub, cache: None
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("owner/model",)
    stop: signal.Signals | None = None


def faulty(*faults: Fault) -> Callable[[Hub, Path], object]:
    return lambda hub, cache: hub.faults.extend(faults)


def gated(hub: Hub, cache: Path) -> None:
    hub.gated, hub.refused = ("owner/model",), "stale"


def damaged(hub: Hub, cache: Path) -> None:
    subprocess.run([sys.executable, "-m", "dsfactory", "models", "fetch", "owner/model", "--quiet"],
                   env=environment(hub, cache), check=True)  # fmt: skip
    weights = next(cache.rglob("unet/*.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:-1000])


def scenarios() -> list[Scenario]:
    """All of them; the table's rows."""
    html = {"Content-Type": "text/html"}
    return [
        Scenario("all is well"),
        Scenario("address of a page", arguments=("https://huggingface.co/owner/model/tree/main",)),
        Scenario("nothing listens", environment={"HF_ENDPOINT": NOWHERE}),
        Scenario("name of a host that is none", environment={"HF_ENDPOINT": "https://hub.invalid"}),
        Scenario("address without https://", environment={"HF_ENDPOINT": "hub.example.org"}),
        Scenario("offline mode", environment={"HF_HUB_OFFLINE": "1"}),
        Scenario("no such model", arguments=("owner/other",)),
        Scenario("no such revision", arguments=("https://huggingface.co/owner/model/tree/v9",)),
        Scenario("gated, no token", gated),
        Scenario("gated, other account", gated, {"HF_TOKEN": "hf_other"}),
        Scenario("token refused", gated, {"HF_TOKEN": "hf_stale"}),
        Scenario("gated, agreed", gated, {"HF_TOKEN": "hf_good"}),
        Scenario("429 twice, then well", faulty(Fault(status=429, headers={"Retry-After": "1"}, times=2))),
        Scenario("429, come back in an hour", faulty(Fault(status=429, headers={"Retry-After": "3600"}))),
        Scenario("503 three times, then well", faulty(Fault("/api/*", status=503, times=3))),
        Scenario("503 for ever", faulty(Fault(status=503))),
        Scenario("reset twice, then well", faulty(Fault("/api/*", reset=True, times=2))),
        Scenario("reset for ever", faulty(Fault(reset=True))),
        Scenario("silent for ever", faulty(Fault(hang=3600))),
        Scenario("a file is cut twice", faulty(Fault("/store/*unet*", cut=300_000, times=2))),
        Scenario("a file is reset twice", faulty(Fault("/store/*unet*", cut=300_000, reset=True, times=2))),
        Scenario("login page of a network", faulty(Fault(status=200, headers=html, body=b"<html>log in</html>"))),
        Scenario("login page instead of a file", faulty(Fault("/store/*", status=200, headers=html, body=b"<p>"))),
        Scenario("proxy that refuses", lambda hub, cache: os.environ.update(HTTPS_PROXY=hub.url),
                 {"HF_ENDPOINT": "https://hub.example.org"}),
        Scenario("proxy that is not there",
                 environment={"HF_ENDPOINT": "https://hub.example.org", "HTTPS_PROXY": NOWHERE}),
        Scenario("no TLS", lambda hub, cache: os.environ.update(HF_ENDPOINT=hub.url.replace("http", "https"))),
        Scenario("cache cannot be written", lambda hub, cache: cache.write_text("a file")),
        Scenario("Xet store denies", lambda hub, cache: setattr(hub, "xet", hub.url + "/denied")),
        Scenario("Xet store is silent", lambda hub, cache: (setattr(hub, "xet", hub.url + "/xet"),
                                                            hub.faults.append(Fault("/xet*", hang=3600)))),
        Scenario("Ctrl-C in a slow download", lambda hub, cache: setattr(hub, "rate", 20_000), stop=signal.SIGINT),
        Scenario("SIGTERM in a silent download", faulty(Fault("/store/*", hang=3600)), stop=signal.SIGTERM),
        Scenario("a damaged file in the cache", damaged),
    ]  # fmt: skip


def environment(hub: Hub, cache: Path) -> dict[str, str]:
    return {**os.environ, "HF_ENDPOINT": os.environ.get("HF_ENDPOINT", hub.url), "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "0")}  # fmt: skip


def play(scenario: Scenario, model: Path) -> tuple[str, int, float]:
    """Run a scenario; what was printed last, the exit code, and the seconds it took (after the signal, if one came)."""
    before = dict(os.environ)
    with serve({"owner/model": model}) as hub, tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "hf"
        os.environ.update(scenario.environment)
        try:
            scenario.prepare(hub, cache)
            line = [sys.executable, "-m", "dsfactory", "models", "fetch", *scenario.arguments]
            if scenario.name.startswith("a damaged"):
                line[4] = "check"
            start = time.monotonic()
            child = subprocess.Popen(line, env=environment(hub, cache), stdout=-1, stderr=-1, text=True)
            if scenario.stop:
                while not any(path.startswith("/store") for _, path, _ in hub.asked):
                    time.sleep(0.05)
                start = time.monotonic()
                child.send_signal(scenario.stop)
            out, err = child.communicate()
            seconds = time.monotonic() - start
        finally:
            os.environ.clear()
            os.environ.update(before)
        said = "\n".join(filter(None, [err.strip(), out.strip()]))
        return said.replace(folder, "…").replace(hub.url, "http://HUB"), child.returncode, seconds


def main() -> None:
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_sd(Path(folder) / "tiny")
        print("| scenario | what the user sees | exit | s |\n| --- | --- | ---: | ---: |")
        for scenario in scenarios():
            if wanted and not any(part in scenario.name for part in wanted):
                continue
            said, code, seconds = play(scenario, model)
            shown = re.sub(r"\s*\n\s*", "<br>", said)
            print(f"| {scenario.name} | {shown} | {code} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
