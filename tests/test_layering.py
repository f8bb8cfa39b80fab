"""Imports point down only: the order of the house."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dsfactory"

FLOORS = (
    ("errors",),
    ("storage",),
    ("core",),
    ("models", "segment", "crf"),
    ("runner",),
    ("dataset",),
    ("formats",),
    ("stage", "stages"),
    ("evaluate",),
    ("jobs",),
    ("verify", "report"),
    ("api", "cli"),
)
"""From the ground up; rooms of one floor may know each other."""

LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in LEVEL)


def room_of(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms that a file imports, inside functions and for type checking too."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "dsfactory" and len(parts) > 1 and parts[1] in LEVEL:
                rooms.add(parts[1])
    return rooms


@pytest.mark.parametrize("room", sorted(LEVEL))
def test_no_room_knows_the_one_above(room):
    found = {
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in FILES
        if room_of(path) == room
        for other in imported(path)
        if LEVEL[other] > LEVEL[room]
    }
    assert not found


def test_every_room_has_a_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert rooms <= LEVEL.keys()


def test_core_and_runner_know_no_stage_by_name():
    from dsfactory.stages import STAGES

    for room in ("core", "runner", "storage"):
        for path in (PACKAGE / room).rglob("*.py"):
            words = {node.value for node in ast.walk(ast.parse(path.read_text()))
                     if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip
            assert not words & set(STAGES.names), path
