"""The commands on the page make the same run: the command line reads them back to the same settings."""

import shlex

import pytest
from typer.main import get_command

from dsfactory.cli.app import app
from dsfactory.cli.commands.flags import generate_flags, refine_flags, settings_of
from dsfactory.jobs.config import RunConfig, merge_settings, resolve_config
from dsfactory.report.recipe import commands


def read_back(line: str) -> RunConfig:
    words = shlex.split(line)
    command = get_command(app).commands[words[1]]
    given = command.make_context(words[1], words[2:]).params
    flags = merge_settings(generate_flags({**given, "setting": None}), refine_flags(given), settings_of(given))
    return resolve_config(None, None, flags)


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
    (line,) = commands(config, ["prompts", "generate", "refine"])
    assert read_back(line) == config


def test_synonyms_stand_in_the_config_only():
    config = RunConfig.model_validate({"classes": {"dog": ["puppy"]}})
    assert commands(config, ["refine"]) == ["dsfactory run --config run.yaml --out runs/again"]


def test_later_stages_have_their_own_lines():
    config = RunConfig.model_validate({"classes": ["dog"]})
    lines = commands(config, ["prompts", "generate", "refine", "filter", "splice"])
    assert lines[1:] == ["dsfactory filter runs/again", "dsfactory splice runs/again"]
    assert commands(config, ["prompts"])[0].startswith("dsfactory generate ")
