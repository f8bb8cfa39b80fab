"""What the crash matrix looks at: the stages of its runs from outside, and how two trees of files differ."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from scripts.crash_chain import now

RUN, LABELS = "run", "labels"
"""The run that is drawn, and the run that labels given pictures."""

COMMANDS = {
    "prompts": ("run", "generate"), "generate": ("run", "generate"), "refine": ("run", "refine"),
    "export": ("run", "export"), "filter": ("filter",), "splice": ("splice",), "evaluate": ("evaluate",),
    "report": ("report",), "annotate": ("annotate",),
}  # fmt: skip
"""Which commands do the work of a stage; in the order of the work."""

STAGES = tuple(COMMANDS)

DRAWN = ("prompts", "generate", "refine")
"""Stages of which one command does several."""

_DONE = {
    **{stage: [f"{RUN}/{stage}/[0-9]*.parquet"] for stage in (*DRAWN, "splice")},
    "filter": [f"{RUN}/filter/fold-*.safetensors", f"{RUN}/filter/[0-9]*.parquet"],
    "evaluate": [f"{RUN}/evaluate/trainings/*.json"],
    "annotate": [f"{LABELS}/generate/[0-9]*.parquet", f"{LABELS}/refine/[0-9]*.parquet"],
}
"""What is never made again once it is there."""

_WRITTEN = {"evaluate": [f"{RUN}/evaluate/*.*"], "report": [f"{RUN}/report.html"]}
"""What is written anew each time."""

_EXPORTS = {"export": f"{RUN}/export", "annotate": f"{LABELS}/export"}

_GROWS = ("run.json", "shards.json")
"""Manifests that are there, shorter, before the run has all its shards."""

_TRAINING = re.compile(r".*/(fold-\d+-\w+\.checkpoint|trainings/[^/]+\.safetensors)")
"""Where an unfinished training goes on."""


class Watched:
    """A folder of runs, seen from outside while processes work in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def units(self, stage: str) -> int:
        """What a stage has finished: shards, trainings; images of an export, in whichever folder they are by now."""
        patterns = [*_DONE.get(stage, ()), *_WRITTEN.get(stage, ())]
        count = sum(len(list(self.path.glob(pattern))) for pattern in patterns)
        if stage in _EXPORTS:
            walk = os.walk(self.path / _EXPORTS[stage])  # passes over what vanishes meanwhile, where glob raises
            count += sum(len(files) for folder, _, files in walk if {"images", "JPEGImages"} & {*Path(folder).parts})
        return count

    def begun_by(self, stage: str, pids: Sequence[int]) -> bool:
        """Whether one of these processes works on a stage."""
        return any(self._working(pid) in COMMANDS[stage] and self._has_begun(stage, pid) for pid in pids)

    def _working(self, pid: int) -> str:
        try:
            return (self.path.parent / now(pid)).read_text()
        except OSError:
            return ""

    def _has_begun(self, stage: str, pid: int) -> bool:
        if stage == "report":  # has no lock
            return True
        folders = [self.path / (LABELS if stage == "annotate" else RUN)]
        if stage == "export":
            folders = [folders[0] / "export" / f".{name}.tmp-dsfactory" for name in ("coco", "voc")]
        for folder in folders:
            try:
                if json.loads((folder / ".lock").read_bytes())["pid"] == pid:
                    return stage not in DRAWN or (folder / stage / "stage.json").exists()
            except (OSError, ValueError):
                continue  # not there, or released
        return False

    def temporary(self) -> list[str]:
        """Temporary files and folders that are there."""
        found = [path for path in self.path.rglob(".*") if path.name != ".lock"]
        return sorted(str(path.relative_to(self.path)) for path in found)

    def finished(self) -> dict[str, tuple[int, int]]:
        """The path of each shard's done-mark and of each training's result, with its inode and its time.

        These would change if it were made again.
        """
        marks = [path for patterns in _DONE.values() for pattern in patterns for path in self.path.glob(pattern)]
        return {str(path.relative_to(self.path)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in marks}

    def samples(self, mark: str) -> int:
        """How many samples a done-mark stands for; none for a training."""
        return int(pq.read_metadata(self.path / mark).num_rows) if mark.endswith(".parquet") else 0


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
            no shards yet, or the checkpoint of a training.
    """
    lines = []
    for name in sorted({*found, *expected}):
        if name not in expected:
            lines += [] if partial and _TRAINING.fullmatch(name) else [f"{name} should not be there"]
        elif name not in found:
            lines += [] if partial else [f"{name} is missing"]
        elif found[name] != expected[name] and not (partial and Path(name).name in _GROWS):
            lines.append(f"{name} has other bytes")
    return lines
