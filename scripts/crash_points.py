"""End dsfactory at *every* step by which it changes a disk, run the same command again, and compare.

    python -m scripts.crash_points --work build/points            # hours; stopped, the same command goes on
    python -m scripts.crash_points --work build/points-short --short

A campaign is one command after the other over all kinds of stages. Each command is run undisturbed once, and its steps
are numbered (see :mod:`scripts.crash_disk`). Then, for each number and each way to end there, the command begins in a
copy of the folder as it was before it, ends at that step, and is run again. Checked are: what can be seen after the end
is what was there before, or what the undisturbed command leaves; no traceback; after the second run the whole tree is
that of the undisturbed command, byte for byte. The exit code is 0 only if there was no difference. A fault that is
*borne* did not end the command: the log, on which no result depends, could not be written.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from scripts.crash_chain import load_libraries
from scripts.crash_disk import FAULTS, KILLED, LOST, LOST_MARKS, WAYS, Disk, Step, makes_sense
from scripts.crash_matrix import ANNOTATE, machine
from scripts.crash_matrix import SETTINGS as MATRIX
from scripts.crash_watch import LABELS, RUN, contents, differences

SETTINGS: dict[str, Any] = {
    **MATRIX,
    "num": 2,
    "generate": {**MATRIX["generate"], "steps": 1},
    "filter": {**MATRIX["filter"], "segment": {**MATRIX["filter"]["segment"], "steps": 2}},
    "splice": {**MATRIX["splice"], "num": 4},
}
"""Those of the crash matrix, smaller: each step is a process of its own."""

LIFE = 300.0


def campaign(work: Path, model: str) -> dict[str, list[str]]:
    """The commands by name, in their order. ``import`` brings back an export in which a mask was changed."""
    config, images = ["--config", str(work / "settings.yaml")], str(work / "images")  # a run keeps its absolute path
    run = f"out/{RUN}"
    small = ["--steps", "2", "--batch-size", "2", "--side", "32", "--device", "cpu"]
    return {
        "generate": ["generate", *config, "--out", run],
        "refine": ["refine", run, *config],
        "refine --redo": ["refine", run, "--redo", "--crf", "off"],
        "export": ["export", run, "--format", "voc,webdataset", "--val-share", "0.3"],
        "import": ["import", run, "changed", "--format", "voc"],
        "filter": ["filter", run, *config],
        "splice": ["splice", run, *config],
        "export again": ["export", run, "--format", "voc", "--val-share", "0.3", "--redo"],
        "evaluate": ["evaluate", run, "--real", "real", *small],
        "report": ["report", run],
        "annotate": [
            "annotate",
            images,
            "--classes",
            "dog,bird",
            "--model",
            model,
            *ANNOTATE,
            "--out",
            f"out/{LABELS}",
        ],
    }


class Points:
    """See the module.

    Args:
        work: folder for the campaign; new, or one to go on in.
        model: preset or folder of the model that generates.
        short: one step of each kind per command, three ways to end.
    """

    def __init__(self, work: Path, model: str, short: bool) -> None:
        self.work, self.short = work.absolute(), short
        self.commands = campaign(self.work, model)
        self._settings = {**SETTINGS, "generate": {**SETTINGS["generate"], "model": model}}
        self._steps: dict[str, list[Step]] = {}
        self._exits: dict[str, int] = {}
        self._spare = self.work / "spare"
        self._done, self._errors = self.work / "points.jsonl", self.work / "stderr"

    def begin(self) -> None:
        """Run every command once, undisturbed, and keep the folder as it was before each."""
        if not (self.work / "steps.json").exists():
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(parents=True)
            (self.work / "settings.yaml").write_text(yaml.safe_dump(self._settings))
            folder = self.work / "whole"
            (folder / "out").mkdir(parents=True)
            for name in self.commands:
                if name == "import":
                    self._change_a_mask(folder)
                shutil.copytree(folder, self._before(name))
                self._exits[name] = self._run(name, folder)
                if self._exits[name] not in (0, 3):
                    raise SystemExit(f"{name}, undisturbed: exit {self._exits[name]}: {self._errors.read_text()}")
                self._steps[name] = json.loads((self.work / "noted.json").read_text())
                shutil.copytree(folder, self._after(name))
            (self.work / "steps.json").write_text(json.dumps({"steps": self._steps, "exits": self._exits}))
        kept = json.loads((self.work / "steps.json").read_text())
        self._steps, self._exits = kept["steps"], kept["exits"]

    def _change_a_mask(self, folder: Path) -> None:
        """Real and changed labels, and pictures, made of the first export."""
        voc = folder / "out" / RUN / "export" / "voc"
        for name in ("changed", "real"):
            shutil.copytree(voc, folder / name)
        shutil.copytree(voc / "JPEGImages", self.work / "images")
        path = min((folder / "changed" / "SegmentationClass").glob("*.png"))
        with Image.open(path) as mask:
            palette, values = mask.getpalette() or [], np.asarray(mask)[:, ::-1]
        fresh = Image.fromarray(values)
        fresh.putpalette(palette)
        fresh.save(path)

    def points(self) -> Iterator[tuple[str, int, str, str]]:
        """Command, number of the step, its kind, and how it ends there."""
        for name, steps in self._steps.items():
            ways = (KILLED, LOST, "ENOSPC") if self.short else (*WAYS, *FAULTS)
            for number, step in enumerate(steps, 1):
                same = [place for place, other in enumerate(steps, 1) if other["kind"] == step["kind"]]
                if not self.short or number == same[len(same) // 2]:
                    yield from ((name, number, step["kind"], how) for how in ways if makes_sense(step, how))

    def run(self) -> dict[str, Any]:
        """All points that are not done yet; what was found, as the report's fields."""
        begun = time.monotonic()
        lines = self._done.read_text().splitlines() if self._done.exists() else []
        done = {tuple(json.loads(line)["point"]): json.loads(line) for line in lines}
        todo = [*self.points()]
        for place, point in enumerate(todo, 1):
            if point not in done:
                done[point] = {"point": point, **self._try(*point)}
                with self._done.open("a") as file:
                    file.write(json.dumps(done[point]) + "\n")
            if place % 50 == 0:
                bad = sum(bool(entry["differences"]) for entry in done.values())
                print(f"{place} of {len(todo)} points, {bad} with differences, {time.monotonic() - begun:.0f} s",
                      file=sys.stderr, flush=True)  # fmt: skip
        found = [done[point] for point in todo]
        return {
            "machine": machine(),
            "points": len(found),
            "steps": {
                name: dict(Counter(step["kind"] for step in steps)) for name, steps in self._steps.items()
            },
            "ways": dict(Counter(entry["point"][3] for entry in found)),
            "borne": sum(not entry["reached"] for entry in found),
            "differences": [f"{' · '.join(map(str, entry['point']))}: {line}"
                            for entry in found for line in entry["differences"]],
        }  # fmt: skip

    def _try(self, name: str, number: int, kind: str, how: str) -> dict[str, Any]:
        folder = self.work / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._before(name), folder)
        ended = self._run(name, folder, number, how)
        said = self._errors.read_text()
        reached = ended == -signal.SIGKILL if how in WAYS else os.strerror(FAULTS[how]) in said or ended != 0
        before, after = contents(self._before(name), hidden=True), contents(self._after(name), hidden=True)
        seen = contents(folder, hidden=False)
        fresh = {path: content for path, content in seen.items() if path not in before or before[path] != content}
        lines = [f"seen after the end: {line}" for line in differences(fresh, after, partial=True)]
        lost = self._spare / LOST_MARKS
        lines += [f"{path} was finished and is lost" for path in json.loads(lost.read_text())] if lost.exists() else []
        if how in FAULTS and (ended not in (0, 2, 3) or "Traceback" in said):
            lines.append(f"exit {ended}: {said.strip()[-300:]}")
        again = self._run(name, folder)
        if again != self._exits[name]:
            lines.append(f"run again: exit {again}: {self._errors.read_text().strip()[-300:]}")
        lines += [f"run again: {line}" for line in differences(contents(folder, hidden=True), after, partial=False)]
        return {"reached": reached, "differences": lines}

    def _before(self, name: str) -> Path:
        return self.work / "before" / name

    def _after(self, name: str) -> Path:
        return self.work / "after" / name

    def _run(self, name: str, folder: Path, at: int = 0, how: str = KILLED) -> int:
        """Run a command in a process that was forked from this one; its exit code."""
        child = get_context("fork").Process(target=self._work_in, args=(name, folder, at, how))
        child.start()
        child.join(LIFE)
        if child.exitcode is None:
            child.kill()
            child.join()
            return 99
        return child.exitcode

    def _work_in(self, name: str, folder: Path, at: int, how: str) -> None:
        from dsfactory.cli.app import main

        os.chdir(folder)
        for number, path in ((1, os.devnull), (2, self._errors)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(descriptor, number)
            os.close(descriptor)
        shutil.rmtree(self._spare, ignore_errors=True)
        self._spare.mkdir()
        sys.argv = ["dsfactory"]
        disk = Disk(folder / "out", self._spare, at, how)
        disk.install()
        try:
            main(self.commands[name])
        finally:
            if not at:
                disk.note(self.work / "noted.json")


def crash_points(work: Path, model: str, short: bool) -> dict[str, Any]:
    """Run a campaign, or what is left of one that was stopped; its report."""
    load_libraries()
    points = Points(work, str(Path(model).resolve()) if Path(model).is_dir() else model, short)
    points.begin()
    return points.run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket", help="preset or folder")
    parser.add_argument("--work", type=Path, default=Path("build/points"), help="a new folder, or one to go on in")
    parser.add_argument("--short", action="store_true", help="one step of each kind per command")
    parser.add_argument("--report", type=Path, help="where the JSON goes [default: <work>/report.json]")
    given = parser.parse_args()
    report = crash_points(given.work, given.model, given.short)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (given.report or given.work / "report.json").write_text(text + "\n")
    print(text)
    return 1 if report["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
