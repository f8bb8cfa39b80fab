"""Settings from files, flags and earlier commands."""

import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from dsfactory.errors import UserError
from dsfactory.jobs.settings import not_default, resolve_config, run_config
from dsfactory.stages.refine.config import RefineConfig
from tests.command import called


def test_files_are_named_from_the_root_where_they_are_there(tmp_path):
    (tmp_path / "captions.csv").write_text("caption\na dog\n")
    (tmp_path / "stop.txt").write_text("word\n")
    (tmp_path / "coco").mkdir()
    (tmp_path / "run.yaml").write_text("classes: [dog]\nprompts: {stop_words: stop.txt}\n")
    with chdir(tmp_path):
        flags = {"prompts": {"corpus": "captions.csv", "templates": "none.yaml"}}
        prompts = resolve_config(None, Path("run.yaml"), flags).prompts
        assert (prompts.corpus, prompts.stop_words) == (str(tmp_path / "captions.csv"), tmp_path / "stop.txt")
        assert prompts.templates == Path("none.yaml"), "the message names what the user wrote"
        built_in = resolve_config(None, None, {"classes": ["dog"], "prompts": {"corpus": "coco"}})
    assert built_in.prompts.corpus == "coco"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"refine": {"threshold": "x"}}, "refine.threshold: input should be 'auto' or a number (got 'x')"),
        ({"refine": {"threshold": 1.5}}, "input should be 'auto' or less than 1 (got 1.5)"),
        ({"refine": {"crf_iterations": "x"}}, "refine.crf_iterations: input should be a whole number (got 'x')"),
        ({"refine": {"affinity": 3}}, "refine.affinity: input should be 'net', 'self' or 'none' (got 3)"),
        ({"refine": 3}, "refine: input should be names with values (got 3)"),
        ({"prompts": {"templates": 3}}, "prompts.templates: input should be a path"),
        ({"refine": {"resolution_weights": {"x": 1}}}, "refine.resolution_weights.x: input should be a whole number"),
        ({"classes": [3]}, "classes.0: input should be names with values (got 3)"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_without_the_names_of_types(flags, says):
    with pytest.raises(UserError) as caught:
        resolve_config(None, None, {"classes": ["dog"], **flags})
    assert says in str(caught.value)


def test_what_earlier_commands_set_is_said_with_every_run_and_forgotten_on_request(tiny_run, tmp_path):
    run = Path(shutil.copytree(tiny_run, tmp_path / "a"))
    assert called("refine", "a", "--redo", "--threshold", "0.5", cwd=tmp_path).returncode == 0
    done = called("refine", "a", "--redo", "--crf", "off", cwd=tmp_path)
    line = next(line for line in done.stdout.splitlines() if line.startswith("settings"))
    assert "refine.threshold=0.5" in line and "refine.crf_iterations=0" in line and "--defaults forgets" in line
    done = called("refine", "a", "--redo", "--defaults", "--crf", "off", "--dry-run", cwd=tmp_path)
    assert "refine.threshold" not in done.stdout and "refine.crf_iterations=0" in done.stdout
    done = called("refine", "a", "--redo", "--defaults", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    config = run_config(run)
    assert config.of(RefineConfig) == RefineConfig() and not_default(config, ["refine"]) == []
    assert config.num == 3, "what is not of these stages stays"
