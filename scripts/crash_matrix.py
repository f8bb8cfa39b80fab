"""Kill real ``dsfactory`` processes at random moments of every stage, resume, and compare with a run left alone.

    python scripts/crash_matrix.py --kills 200 --seed 1 --work build/crash

A round is one run, killed again and again on its way from the first prompt to the last export. After every kill
two things are checked: each file that can be seen is the one that the undisturbed run has, and every shard that was
finished before is still there and was not made again. After the last kill of a round the command runs to its end,
and the whole tree must equal the undisturbed one byte for byte.

The exit code is 0 only when there was no difference and no sample was lost.
"""

import argparse
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dsfactory import __version__

STAGES = ("prompts", "generate", "refine", "export")
RUN = ["run", "--classes", "dog,bird", "--num", "8", "--shard-size", "2", "--steps", "2", "--format", "coco,voc",
       "--set", "refine.min_box=0", "--out", "run"]  # fmt: skip
"""Eight shards a stage, so that a process meets many moments at which it can be killed."""

PAIR = "two at once"
WAYS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGKILL", PAIR)
"""How processes are ended, in turns; of two started at once, both are ended by SIGKILL."""

KILLS_PER_ROUND = 12
POLL = 0.002
LIFE = 600.0
"""Longest life of a process in seconds: one that hangs is a failure, not a wait without end."""


@dataclass
class Kill:
    """One moment at which a process ended.

    Attributes:
        round: which run it was, from 0.
        way: an entry of WAYS.
        stage: the stage that was to be hit; the first that was not finished, when that one was.
        units: shards (images, in the export) that this stage had finished.
        temporary: temporary files and folders that the process left.
        exits: exit codes of the process, or of both; a signal's number is negative.
    """

    round: int
    way: str
    stage: str
    units: int
    temporary: list[str]
    exits: list[int]

    def __str__(self) -> str:
        left = f", leaving {', '.join(self.temporary)}" if self.temporary else ""
        return f"round {self.round}: {self.way} in {self.stage} after {self.units} finished{left}, exit {self.exits}"


@dataclass
class Report:
    """What a campaign did and found; ``kills`` counts by stage and way."""

    machine: dict[str, Any]
    command: str
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


class Watched:
    """A run's folder, seen from outside while processes work in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def units(self, stage: str) -> int:
        """Finished shards of a stage; images written, for the export, in whichever folder they are by now."""
        if stage != "export":
            return len(list((self.path / stage).glob("[0-9]*.parquet")))
        walk = os.walk(self.path / "export")  # passes over what vanishes meanwhile, where glob raises
        return sum(len(files) for folder, _, files in walk if {"images", "JPEGImages"} & {*Path(folder).parts})

    def begun_by(self, stage: str, pids: Sequence[int]) -> bool:
        """Whether one of these processes holds the lock under which a stage works."""
        exports = [self.path / "export" / f".{name}.tmp-dsfactory" for name in ("coco", "voc")]
        for lock in [folder / ".lock" for folder in (exports if stage == "export" else [self.path])]:
            try:
                if json.loads(lock.read_bytes())["pid"] in pids:
                    return stage == "export" or (self.path / stage / "stage.json").exists()
            except (OSError, ValueError):
                continue  # not there, or released
        return False

    def temporary(self) -> list[str]:
        found = [path for path in self.path.rglob(".*") if path.name != ".lock"]
        return sorted(str(path.relative_to(self.path)) for path in found)

    def finished(self) -> dict[str, tuple[int, int]]:
        """Each done-mark's path, with what would change if its shard were made again: inode and time."""
        marks = [path for stage in STAGES[:3] for path in (self.path / stage).glob("[0-9]*.parquet")]
        return {str(path.relative_to(self.path)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in marks}


def contents(folder: Path, hidden: bool) -> dict[str, bytes | None]:
    """Relative path to bytes of what lies in a folder, None for a folder; locks and logs are no part of a run."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.name == ".lock" or re.fullmatch(r"log(\.\d+)?\.jsonl(\.\d+)?", path.name):
            continue
        if hidden or not any(part.startswith(".") for part in inner.parts):
            found[str(inner)] = path.read_bytes() if path.is_file() else None
    return found


def differences(found: dict[str, bytes | None], expected: dict[str, bytes | None], partial: bool) -> list[str]:
    """How a tree differs from the undisturbed one, one line per path.

    Args:
        partial: the run is not finished: what is missing is no difference, and neither is a manifest that has
            no shards yet.
    """
    lines = []
    for name in sorted({*found, *expected}):
        if name not in expected:
            lines.append(f"{name} should not be there")
        elif name not in found:
            lines += [] if partial else [f"{name} is missing"]
        elif found[name] != expected[name] and not (partial and name == "run.json"):
            lines.append(f"{name} has other bytes")
    return lines


class Campaign:
    """Kills spread over rounds; see the module.

    Args:
        work: folder for the runs; must be new or empty.
        model: preset or folder of the model that draws.
        seed: of the moments.
    """

    def __init__(self, work: Path, model: str, seed: int) -> None:
        self._work = work
        self._arguments = [*RUN, "--model", model]
        self._random = random.Random(seed)
        self.report = Report(machine(), f"dsfactory {' '.join(RUN)}", model, seed)
        self._whole = work / "whole"
        self._marks: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self._exit = 0

    def undisturbed(self) -> None:
        """Run to the end once, noting when each stage began and when each of its units was finished."""
        watched = Watched(self._whole / "run")
        child = self._start(self._whole)
        while child.poll() is None:
            for stage in STAGES:
                marks = self._marks[stage]
                if not marks and not watched.begun_by(stage, [child.pid]):
                    continue
                marks += [time.monotonic()] * (watched.units(stage) + 1 - len(marks))
            time.sleep(POLL)
        self._exit = child.returncode
        if self._exit not in (0, 3) or not all(self._marks.values()):
            raise SystemExit(f"the undisturbed run failed: {(self._whole / 'stderr').read_text()}")
        self._expected = contents(watched.path, hidden=True)

    def round(self, number: int, kills: int) -> None:
        """One run, killed so often and then finished."""
        folder = self._work / f"round{number}"
        aims = sorted(STAGES.index(STAGES[index % len(STAGES)]) for index in range(kills))
        shares = Counter(aims)
        done: list[Kill] = []
        for place, aim in enumerate(aims):
            part = (place - aims.index(aim) + self._random.random()) / shares[aim]
            kill = self._life(folder, number, STAGES[aim], part, WAYS[self.report.total_kills % len(WAYS)])
            done += [kill] if kill is not None else []
        child = self._start(folder)
        child.wait(LIFE)
        lines = differences(contents(folder / "run", hidden=True), self._expected, partial=False)
        if child.returncode != self._exit:
            lines.append(f"exit code {child.returncode} instead of {self._exit}")
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
        watched = Watched(folder / "run")
        before = watched.finished()
        children = [self._start(folder, index) for index in range(2 if way == PAIR else 1)]
        marks = self._marks[stage]
        units = max(int(part * (len(marks) - 1)), watched.units(stage) if stage != "export" else 0)
        units = min(units, len(marks) - 2)
        delay = self._random.uniform(0, marks[units + 1] - marks[units])
        pids = [child.pid for child in children]
        end = time.monotonic() + LIFE
        while any(child.poll() is None for child in children) and time.monotonic() < end:
            if watched.begun_by(stage, pids) and watched.units(stage) >= units:
                time.sleep(delay)
                break
            time.sleep(POLL)
        late = all(child.poll() is not None for child in children)
        for child in children:
            child.send_signal(signal.SIGTERM if way == "SIGTERM" else signal.SIGKILL)
        exits = [child.wait(30) for child in children]
        if late or (way == "SIGTERM" and exits == [self._exit]):
            self.report.too_late += 1
            return None
        # Stages overlap: what was aimed at counts, unless it was finished by then.
        unfinished = [name for name in STAGES if watched.units(name) < len(self._marks[name]) - 1]
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
            # Refine's workers may be ended by the kernel before they tidy up: the next start removes what they left, which
            # the comparison at the end of the round proves. Drawing itself leaves nothing.
            if left := [name for name in kill.temporary if not name.startswith("refine/")]:
                lines.append(f"SIGTERM left {left}")
        if kill.way == PAIR and not set(kill.exits) <= {4, -9}:
            lines.append(f"of two at once, exits were {kill.exits}")
        after = watched.finished()
        lost = [name for name, mark in before.items() if after.get(name) != mark]
        for name in lost:
            start, stop = json.loads((self._whole / "run" / "run.json").read_bytes())["shards"][int(Path(name).stem)]
            self.report.samples_lost += stop - start
            lines.append(f"{name} was finished and is lost or made again")
        self.report.differences += [f"{line} ({kill})" for line in lines]

    def _start(self, folder: Path, index: int = 0) -> subprocess.Popen[bytes]:
        folder.mkdir(parents=True, exist_ok=True)
        known = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
        with open(folder / f"stderr{index or ''}", "wb") as errors:
            return subprocess.Popen([sys.executable, "-m", "dsfactory", *self._arguments], cwd=folder, env=known,
                                    stdout=subprocess.DEVNULL, stderr=errors)  # fmt: skip


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
    """Run a campaign of at least ``kills`` kills."""
    if work.exists() and any(work.iterdir()):
        raise SystemExit(f"{work} is not empty: name a new folder with --work")
    begun = time.monotonic()
    campaign = Campaign(work, str(Path(model).resolve()) if Path(model).is_dir() else model, seed)
    report = campaign.report
    report.model = Path(model).name
    campaign.undisturbed()
    while report.total_kills < kills:
        campaign.round(report.rounds, min(KILLS_PER_ROUND, kills - report.total_kills))
        report.seconds = round(time.monotonic() - begun, 1)
        print(f"{report.total_kills} kills in {report.rounds} rounds, {len(report.differences)} differences, "
              f"{report.samples_lost} samples lost, {report.seconds:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill dsfactory at random moments and compare what is resumed.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="pocket", help="preset or folder")
    parser.add_argument("--work", type=Path, default=Path("build/crash"), help="a new folder")
    parser.add_argument("--report", type=Path, help="where the JSON goes [default: <work>/report.json]")
    given = parser.parse_args()
    report = crash_matrix(given.work, given.model, given.kills, given.seed)
    text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
    (given.report or given.work / "report.json").write_text(text + "\n")
    print(text)
    return 1 if report.differences or report.samples_lost else 0


if __name__ == "__main__":
    sys.exit(main())
