"""How fast a run's stages, exports and trainings were, as its log has it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_pace(log: Path) -> dict[str, float]:
    """Seconds per unit of work, as a run's log has them.

    Returns:
        by stage per sample, of one worker; by :func:`by_workers` per sample of a stage, of one of several workers; by
        ``"export FORMAT"`` per image; by :func:`training_name` per step of a training.
    """
    counts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            event = json.loads(line)
            name, count, took = _work(event)
            for key in (name, by_workers(name)) if "worker" in event else (name,):
                counts[key] = counts.get(key, 0) + count
                seconds[key] = seconds.get(key, 0.0) + took
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a full disk cut off
    return {name: seconds[name] / count for name, count in counts.items() if count}


def by_workers(stage: str) -> str:
    """Under which name the pace of a stage's worker processes stands."""
    return f"{stage} by workers"


def training_name(side: int, batch_size: int, segmenter: str | None) -> str:
    """What decides the pace of a training."""
    return f"evaluate {segmenter or 'from scratch'} {side} {batch_size}"


def _work(event: Mapping[str, Any]) -> tuple[str, int, float]:
    """What was done, how much of it and in which time; an empty name for a line that says nothing of it."""
    if event["event"] == "shard":
        return str(event["stage"]), int(event["samples"]), float(event["seconds"])
    if event["event"] == "exported":
        return f"export {event['format']}", int(event["samples"]), float(event["seconds"])
    if event["event"] == "training":
        name = training_name(event["side"], event["batch_size"], event.get("segmenter"))
        return name, int(event["steps"]), float(event["seconds"])
    return "", 0, 0.0
