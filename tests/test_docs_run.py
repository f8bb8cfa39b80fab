"""The documents' commands, run in the order of each page: with a tiny model and small numbers, otherwise as they stand.

``tests/test_tutorial.py`` runs the tutorial as it is, and ``tests/test_ray.py`` and ``tests/test_workers.py`` what is
named in ``ELSEWHERE``.
"""

import contextlib
import io
import signal
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dsfactory.cli.app import main
from dsfactory.formats.exporter import export
from tests.evaluate.folders import write_voc
from tests.formats.scenes import samples
from tests.shown import PAGES, ROOT, shell_lines, words
from tests.stages.splice.runs import labelled_run

ELSEWHERE = ("--workers", "--devices", "--engine", "dsfactory trial", "--snap", "--min-trust",
             "--witness", "trust fit", "dsfactory push")  # fmt: skip
"""Parts of lines that are not run here: they start other processes, need GPUs or a cluster, or have a test of their own
(``tests/test_trial_command.py``, ``tests/stages/refine/test_stage.py``, ``tests/test_trust_command.py``,
``tests/trust/test_run.py``, ``tests/stages/filter/test_witnesses.py``, ``tests/jobs/test_push.py``)."""
COUNTS = {"--num": "2", "--append": "1", "--paste": "1"}
DRAWING = ["--width", "64", "--height", "64", "--steps", "2"]
QUICK = ["--timesteps", "200", "--seeds", "1", "--min-presence", "off"]
ALL_PARTS = ["--set", "refine.min_box=0", "--set", "refine.min_layout_iou=0"]
"""A model that never learnt anything makes small parts."""
SHORT_CHAIN = [
    word
    for setting in (
        "filter.segment.steps=2", "filter.keep=1.0", "filter.min_area=0", "filter.max_area=1",
        "filter.duplicate_distance=0", "splice.num=2", "splice.mix={1x2: 1}",
    )
    for word in ("--set", setting)
]  # fmt: skip
"""``run --filter --splice`` of a few samples, all of which are kept."""


def lines_of(page: Path) -> list[str]:
    """A page's commands that can be run here, in order."""
    lines = [line for line in shell_lines(page) if line.startswith("dsfactory ")]
    return [line for line in lines if "…" not in line and not any(part in line for part in ELSEWHERE)]


OTHERS = ("tutorial.md", "extending.md", "models.md")
"""Pages whose commands other tests run, in this order: ``tests/test_tutorial.py``, ``tests/stages/test_contract.py``,
and ``tests/test_models_command.py`` with a hub of its own."""

RUN_HERE = [page for page in PAGES if page.name not in OTHERS and lines_of(page)]


def shrunk(line: str, model: Path) -> list[str]:
    """A shown command's arguments, small; flags at the end win over the same ones before."""
    arguments = words(line)[1:]
    for place, word in enumerate(arguments[:-1]):
        if word in COUNTS:
            arguments[place + 1] = COUNTS[word]
    match arguments[0]:
        case "generate" | "run":
            counted = [] if {"--num", "--append", "--config"} & {*arguments} else ["--num", "2"]
            parts = ALL_PARTS if arguments[0] == "run" else []
            parts = [*parts, *SHORT_CHAIN] if "--filter" in arguments else parts
            return [*arguments, *counted, "--model", str(model), *DRAWING, *parts]
        case "prompts":
            return [*arguments, "--model", str(model)] if arguments[1] == "preview" else arguments
        case "annotate":
            return [*arguments, "--model", str(model), *QUICK, *ALL_PARTS]
        case "refine":
            return [*arguments, *ALL_PARTS]
        case "evaluate":
            return [*arguments, "--steps", "2", "--side", "32", "--batch-size", "2"]
        case "filter":
            return [*arguments, "--set", "filter.segment.steps=2", "--keep", "1.0"]
        case "splice" if "--mix" in arguments:  # so few samples, and all of them are needed
            return [*arguments, "--val-share", "0"]
    return arguments


def set_up(folder: Path) -> None:
    """What the pages take for granted: captions, a class file, pictures, and a labelled set that has the classes."""
    (folder / "captions.csv").write_text("id,text\n1,A hovercraft crosses a bay\n2,A small hovercraft\n")
    (folder / "classes.txt").write_text("dog: puppy, hound\nbird\n")
    (folder / "photos").mkdir()
    Image.radial_gradient("L").resize((80, 64)).convert("RGB").save(folder / "photos" / "1.png")
    export("coco", samples(12), ("car", "person"), folder / "street", fingerprint="f", model="pocket")
    labels = "cat:128,0,0::\ncar:0,128,0::\nhorse:0,0,128::\n"
    write_voc(folder / "real", labelmap=f"# label:color_rgb:parts:actions\nbackground:0,0,0::\n{labels}")


def run(arguments: list[str], folder: Path) -> None:
    """One command in this process, which has the heavy libraries at hand."""
    err = io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            assert not end.code, f"{' '.join(arguments)}: {err.getvalue()[-500:]}"
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@pytest.mark.long
@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_run(
    page: Path, tiny_model: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    set_up(tmp_path)
    if page.name == "remote.md":
        request.getfixturevalue("s3_server").bucket("bucket")
    lines = lines_of(page)
    if not any("--out runs/a" in line for line in lines):
        labelled_run(tmp_path / "runs" / "a", 4)
    for line in lines:
        arguments = shrunk(line, tiny_model)
        if arguments[0] == "import":  # what came back from CVAT: here, what went there
            with zipfile.ZipFile(tmp_path / arguments[2], "w") as file:
                file.write(tmp_path / arguments[1] / "export" / "cvat" / "annotations.xml", "annotations.xml")
        run(arguments, tmp_path)


def test_the_tutorial_and_the_pages_with_commands_are_known() -> None:
    names = {
        "README.md", "adopt.md", "formats.md", "layouts.md", "recipes.md", "remote.md", "sets.md", "splicing.md",
        "stages.md", "trust.md",
    }  # fmt: skip
    assert {page.name for page in RUN_HERE} == names
