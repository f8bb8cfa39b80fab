"""Kill real ``dsfactory`` processes at random moments of every stage, resume, and compare with a run left alone.

    python -m scripts.crash_matrix --kills 200 --seed 1 --work build/crash

A round is one chain of commands, killed again and again on its way: ``run`` (prompts, generate, refine, export) or, in
every second round, its steps one by one, then ``filter``, ``splice``, ``evaluate``, ``report``, and ``annotate`` into a
second run. After every kill two things are checked: each file that can be seen is the one that the undisturbed chain
has, and every shard and training that was finished before is still there and was not made again. After the last kill of
a round the chain runs to its end, and the whole tree must equal the undisturbed one byte for byte.

The report is written after every round; stopped, the same command goes on behind the last one. The exit code is 0 only
when there was no difference and no sample was lost.
"""

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import yaml

from dsfactory import __version__
from scripts.crash_chain import load_libraries, start
from scripts.crash_watch import LABELS, RUN, STAGES, Watched, contents, differences

SETTINGS: dict[str, Any] = {
    "classes": ["dog", "bird"],
    "num": 6,
    "shard_size": 2,
    "generate": {"steps": 2, "width": 64, "height": 64},
    "refine": {"min_box": 0},
    "filter": {"folds": 2, "keep": 0.9, "min_evidence": 0.0, "max_area": 1.0, "duplicate_distance": 0.0,
               "device": "cpu", "segment": {"steps": 6, "batch_size": 2, "side": 32}},
    "splice": {"num": 12, "mix": "1x2", "val_share": 0.3},
}  # fmt: skip
"""Six shards a stage, so that a process meets many moments at which it can be killed."""

PAIR = "two at once"
WAYS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGKILL", PAIR)
"""How processes are ended, in turns; of two started at once, both are ended by SIGKILL."""

ANNOTATE = ("--timesteps", "200", "--seeds", "1", "--min-presence", "off", "--shard-size", "2",
            "--set", "refine.min_box=0", "--set", "generate.width=64", "--set", "generate.height=64")  # fmt: skip

KILLS_PER_ROUND = 27
POLL = 0.002
LIFE = 600.0
"""Longest life of a process in seconds: one that hangs is a failure, not a wait without end."""


def chains(work: Path, model: str) -> list[list[list[str]]]:
    """The commands of even and of odd rounds; both make the same files.

    What is labelled and what is tested on are the images that the undisturbed chain has drawn.
    """
    config, images = ["--config", str(work / "settings.yaml")], work / "whole0" / "out" / RUN / "export" / "voc"
    run, labels = f"out/{RUN}", f"out/{LABELS}"
    formats = ["--format", "coco,voc", "--val-share", "0.3"]
    small = ["--steps", "6", "--batch-size", "2", "--side", "32", "--device", "cpu"]
    following = [
        ["filter", run, *config],
        ["splice", run, *config],
        ["evaluate", run, "--real", str(images), *small],
        ["report", run],
        ["annotate", str(images / "JPEGImages"), "--classes", "dog,bird", "--model", model, *ANNOTATE, "--out", labels,
         "--format", "voc"],
    ]  # fmt: skip
    at_once = ["run", *config, "--out", run, *formats]
    steps = [["generate", *config, "--out", run], ["refine", run, *config], ["export", run, *formats]]
    return [[at_once, *following], [*steps, *following]]


@dataclass
class Kill:
    """One moment at which a process ended.

    Attributes:
        round: which run it was, from 0.
        way: an entry of WAYS.
        stage: the stage that was to be hit; the first that was not finished, when that one was.
        units: shards (images, in the export; trainings) that this stage had finished.
        temporary: temporary files and folders that the process left.
        exits: exit codes of the process, or of both; a signal's number is negative.
    """

    round: int
    way: str
    stage: str
    units: int
    temporary: list[str]
    exits: list[int | None]

    def __str__(self) -> str:
        left = f", leaving {', '.join(self.temporary)}" if self.temporary else ""
        return f"round {self.round}: {self.way} in {self.stage} after {self.units} finished{left}, exit {self.exits}"


@dataclass
class Report:
    """What a campaign did and found; ``kills`` counts by stage and way."""

    machine: dict[str, Any]
    commands: list[str]
    model: str
    seed: int
    kills: dict[str, dict[str, int]] = field(default_factory=dict)
    total_kills: int = 0
    left_temporary_files: int = 0
    too_late: int = 0
    rounds: int = 0
    differences: list[str] = field(default_factory=list)
    samples_lost: int = 0
    seconds: float = 0.0

    def count(self, kill: Kill) -> None:
        by_way = self.kills.setdefault(kill.stage, {})
        by_way[kill.way] = by_way.get(kill.way, 0) + 1
        self.total_kills += 1
        self.left_temporary_files += bool(kill.temporary)


class Campaign:
    """Kills spread over rounds; see the module.

    Args:
        work: folder for the runs; new, empty, or of a campaign with the same arguments, which goes on.
        model: preset or folder of the model that draws.
        seed: of the moments.
    """

    def __init__(self, work: Path, model: str, seed: int) -> None:
        self._work = work.absolute()
        self._chains = chains(self._work, model)
        shown = [self._shown(command, model) for command in self._chains[0]]
        self.report = Report(machine(), shown, Path(model).name, seed)
        self._settings = {**SETTINGS, "generate": {**SETTINGS["generate"], "model": model}}
        self._random = random.Random()
        self._gaps: dict[str, dict[str, list[float]]] = {}
        self._exit: int | None = None

    def _shown(self, command: list[str], model: str) -> str:
        """A command as it may stand in a report: without this machine's folders."""
        return f"dsfactory {' '.join(command)}".replace(f"{self._work}/", "").replace(model, Path(model).name)

    def begin(self) -> None:
        """Run the chain undisturbed, or take up a campaign that was stopped.

        Raises:
            SystemExit: the folder holds something else, or the chain fails.
        """
        kept = self._work / "campaign.json"
        if kept.exists():
            content = json.loads(kept.read_text())
            before = Report(**content["report"])
            names = ("machine", "commands", "model", "seed")
            if any(getattr(before, name) != getattr(self.report, name) for name in names):
                raise SystemExit(f"{self._work} holds a campaign of other arguments: name a new folder with --work")
            self.report, self._gaps, self._exit = before, content["gaps"], content["exit"]
            shutil.rmtree(self._work / f"round{before.rounds}", ignore_errors=True)
        else:
            if self._work.exists() and any(self._work.iterdir()):
                raise SystemExit(f"{self._work} is not empty: name a new folder with --work")
            self._work.mkdir(parents=True, exist_ok=True)
            (self._work / "settings.yaml").write_text(yaml.safe_dump(self._settings))
            self._exit = self._undisturbed(0)
        self._expected = contents(self._work / "whole0" / "out", hidden=True)
        self.save()

    def save(self) -> None:
        """Keep what :meth:`begin` needs to go on."""
        content = {"report": asdict(self.report), "gaps": self._gaps, "exit": self._exit}
        fresh = self._work / "campaign.json.new"
        fresh.write_text(json.dumps(content))
        fresh.replace(self._work / "campaign.json")

    def _undisturbed(self, which: int) -> int:
        """Run a chain to its end once, noting how long each unit of each stage takes; its exit code."""
        folder = self._work / f"whole{which}"
        shutil.rmtree(folder, ignore_errors=True)  # of a campaign that was stopped here
        watched = Watched(folder / "out")
        child = self._start(which, folder)
        marks: dict[str, list[float]] = {stage: [] for stage in STAGES}
        while child.exitcode is None:
            for stage in STAGES:
                if marks[stage] or watched.begun_by(stage, [child.pid or 0]):
                    marks[stage] += [time.monotonic()] * (watched.units(stage) + 1 - len(marks[stage]))
            time.sleep(POLL)
        if child.exitcode not in (0, 3) or any(len(times) < 2 for times in marks.values()):
            raise SystemExit(f"the undisturbed chain failed: {(folder / 'stderr').read_text()}")
        self._gaps[str(which)] = {
            stage: [after - before for before, after in pairwise(times)] for stage, times in marks.items()
        }
        return child.exitcode

    def round(self, kills: int) -> None:
        """One chain, killed so often and then finished."""
        number = self.report.rounds
        which = number % len(self._chains)
        if str(which) not in self._gaps:
            self._undisturbed(which)
            found = contents(self._work / f"whole{which}" / "out", hidden=True)
            self.report.differences += [f"{line} (undisturbed)" for line in differences(found, self._expected, False)]
        self._random = random.Random(f"{self.report.seed} {number}")
        folder = self._work / f"round{number}"
        aims = sorted(STAGES.index(STAGES[index % len(STAGES)]) for index in range(kills))
        shares = Counter(aims)
        done: list[Kill] = []
        for place, aim in enumerate(aims):
            part = (place - aims.index(aim) + self._random.random()) / shares[aim]
            kill = self._life(folder, number, STAGES[aim], part, WAYS[self.report.total_kills % len(WAYS)])
            done += [kill] if kill is not None else []
        child = self._start(which, folder)
        child.join(LIFE)
        lines = differences(contents(folder / "out", hidden=True), self._expected, partial=False)
        if child.exitcode != self._exit:
            lines.append(f"exit code {child.exitcode} instead of {self._exit}")
        kills_shown = "; ".join(map(str, done))
        self.report.differences += [f"{line} (after {kills_shown})" for line in lines]
        self.report.rounds += 1
        if not lines:
            shutil.rmtree(folder)

    def _life(self, folder: Path, number: int, stage: str, part: float, way: str) -> Kill | None:
        """Start, wait for a moment in a stage, end it, look. None when it was done before the moment came.

        Args:
            part: how far into the stage, from 0 to 1, by finished units.
        """
        watched = Watched(folder / "out")
        before = watched.finished()
        children = [self._start(number % len(self._chains), folder, index) for index in range(2 if way == PAIR else 1)]
        expected = self._gaps[str(number % len(self._chains))]
        gaps = expected[stage]
        units = max(int(part * len(gaps)), watched.units(stage) if stage != "export" else 0)
        units = min(units, len(gaps) - 1)
        delay = self._random.uniform(0, gaps[units])
        pids = [child.pid for child in children if child.pid is not None]
        end = time.monotonic() + LIFE
        while any(child.exitcode is None for child in children) and time.monotonic() < end:
            if watched.begun_by(stage, pids) and watched.units(stage) >= units:
                time.sleep(delay)
                break
            time.sleep(POLL)
        late = all(child.exitcode is not None for child in children)
        for child in children:
            if child.exitcode is None and child.pid is not None:
                os.kill(child.pid, signal.SIGTERM if way == "SIGTERM" else signal.SIGKILL)
        for child in children:
            child.join(30)
        exits = [child.exitcode for child in children]
        if late or (way == "SIGTERM" and exits == [self._exit]):
            self.report.too_late += 1
            return None
        # Stages overlap: what was aimed at counts, unless it was finished by then.
        unfinished = [name for name in STAGES if watched.units(name) < len(expected[name])]
        hit = stage if stage in unfinished else [*unfinished, STAGES[-1]][0]
        kill = Kill(number, way, hit, watched.units(hit), watched.temporary(), exits)
        self.report.count(kill)
        self._look(folder, watched, before, kill)
        return kill

    def _look(self, folder: Path, watched: Watched, before: dict[str, tuple[int, int]], kill: Kill) -> None:
        lines = differences(contents(watched.path, hidden=False), self._expected, partial=True)
        if kill.way == "SIGTERM":
            said = (folder / "stderr").read_text().strip().splitlines()
            if kill.exits != [5] or not said[-1].startswith("dsfactory: stopped by SIGTERM"):
                lines.append(f"SIGTERM ended with exit {kill.exits} and {said[-1:]}")
            # Refine's workers may be ended by the kernel before they tidy up: the next start removes what they left,
            # which the comparison at the end of the round proves. Drawing itself leaves nothing.
            if left := [name for name in kill.temporary if "/refine/" not in name]:
                lines.append(f"SIGTERM left {left}")
        if kill.way == PAIR and not set(kill.exits) <= {4, -9}:
            lines.append(f"of two at once, exits were {kill.exits}")
        after = watched.finished()
        lost = [name for name, mark in before.items() if after.get(name) != mark]
        for name in lost:
            self.report.samples_lost += Watched(self._work / "whole0" / "out").samples(name)
            lines.append(f"{name} was finished and is lost or made again")
        self.report.differences += [f"{line} ({kill})" for line in lines]

    def _start(self, which: int, folder: Path, index: int = 0) -> ForkProcess:
        folder.mkdir(parents=True, exist_ok=True)
        return start(self._chains[which], folder, folder / f"stderr{index or ''}")


def machine() -> dict[str, Any]:
    """What the report's numbers were measured on; no host name."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "python": platform.python_version(),
        "dsfactory": __version__,
    }


def crash_matrix(work: Path, model: str, kills: int, seed: int) -> Report:
    """Run a campaign of at least ``kills`` kills, or what is left of one that was stopped."""
    begun = time.monotonic()
    load_libraries()
    campaign = Campaign(work, str(Path(model).resolve()) if Path(model).is_dir() else model, seed)
    campaign.begin()
    while campaign.report.total_kills < kills:
        campaign.round(min(KILLS_PER_ROUND, kills - campaign.report.total_kills))
        report, now = campaign.report, time.monotonic()
        report.seconds, begun = round(report.seconds + now - begun, 1), now
        campaign.save()
        print(f"{report.total_kills} kills in {report.rounds} rounds, {len(report.differences)} differences, "
              f"{report.samples_lost} samples lost, {report.seconds:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
    return campaign.report


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill dsfactory at random moments and compare what is resumed.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="pocket", help="preset or folder")
    parser.add_argument("--work", type=Path, default=Path("build/crash"), help="a new folder, or one to go on in")
    parser.add_argument("--report", type=Path, help="where the JSON goes [default: <work>/report.json]")
    given = parser.parse_args()
    report = crash_matrix(given.work, given.model, given.kills, given.seed)
    text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
    (given.report or given.work / "report.json").write_text(text + "\n")
    print(text)
    return 1 if report.differences or report.samples_lost else 0


if __name__ == "__main__":
    sys.exit(main())
