"""The commands on the page make the same run: what they say is read back to the same settings."""

import shlex
from pathlib import Path

import pytest

from dsfactory.jobs.settings import resolve_config
from dsfactory.report.recipe import commands, versions
from dsfactory.stages import STAGES, RunConfig
from tests.cli.asked import asked


def read_back(line: str) -> RunConfig:
    """The settings that a command stands for, read by the command line itself."""
    return resolve_config(None, None, asked(*shlex.split(line)[1:]).flags)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num": 100, "seed": 7, "shard_size": 5, "generate": {"model": "./my model's folder", "steps": 9}},
        {"prompts": {"style": ["a, b", "c"], "scene": ["in the snow"]}, "generate": {"negative_prompt": ""}},
        {"prompts": {"objects": "1-3", "corpus": "my captions; rm -rf.csv", "column": "text"}},
        {"generate": {"guidance": 1.5, "negative_prompt": 'blurry, "grey"', "affinity": False, "scheduler": "ddim"}},
        {"refine": {"threshold": 0.4, "resolution_weights": {8: 1.0, 16: 0.5}, "crf_iterations": 0}},
    ],
)
def test_a_command_says_all_settings(settings):
    config = RunConfig.model_validate({"classes": ["dog", "traffic light"], "num": 3, **settings})
    line, *later = commands(config, ["prompts", "generate", "refine"])
    assert later == ["dsfactory refine runs/again"]
    assert read_back(line) == config


def test_synonyms_stand_in_the_config_only():
    config = RunConfig.model_validate({"classes": {"dog": ["puppy"]}})
    assert commands(config, ["generate"]) == ["dsfactory generate --config run.yaml --out runs/again"]


def test_later_stages_have_their_own_lines():
    config = RunConfig.model_validate({"classes": ["dog"]})
    lines = commands(config, ["prompts", "generate", "refine", "filter", "splice"])
    assert lines[1:] == [f"dsfactory {name} runs/again" for name in ("refine", "filter", "splice")]
    assert commands(config, ["prompts"])[0].startswith("dsfactory generate ")


def test_given_pictures_are_named_again_and_what_follows_by_itself_has_no_line():
    config = RunConfig.model_validate({"classes": ["dog"], "annotate": {"images": "/my/pictures"}})
    line, *later = commands(config, ["annotate", "refine", "filter"])
    assert read_back(line) == config
    assert later == ["dsfactory filter runs/again"]


@pytest.mark.parametrize("name", [*STAGES.names, "run"])
def test_versions_are_those_of_every_stage(tmp_path: Path, name: str) -> None:
    (tmp_path / "log.jsonl").write_text(f'{{"event": "start", "command": "{name}", "versions": {{"torch": "1"}}}}')
    assert versions(tmp_path) == {"torch": "1"}
