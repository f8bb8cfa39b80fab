"""Every flag sets what it says, whichever command has it."""

from pathlib import Path

import pytest
from pydantic import Field

from dsfactory.cli.flags import Flags, SettingFlag
from dsfactory.core.flags import flag, flag_of
from dsfactory.core.section import Section
from dsfactory.errors import UserError
from dsfactory.runner.executors import IN_PROCESS
from tests.cli.asked import asked


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("generate --num 7", {"num": "7"}),
        ("generate --seed 3", {"seed": 3}),
        ("generate --shard-size 5", {"shard_size": 5}),
        ("generate --corpus parti", {"prompts": {"corpus": "parti"}}),
        ("generate --column text", {"prompts": {"column": "text"}}),
        ("generate --objects 1-3", {"prompts": {"objects": "1-3"}}),
        ("generate --style a,b", {"prompts": {"style": ["a", "b"]}}),
        ("generate --scene outside", {"prompts": {"scene": ["outside"]}}),
        ("generate --weather rain,fog", {"prompts": {"weather": ["rain", "fog"]}}),
        ("generate --model sd15", {"generate": {"model": "sd15"}}),
        ("generate --negative-prompt grey", {"generate": {"negative_prompt": "grey"}}),
        ("generate --width 64", {"generate": {"width": 64}}),
        ("generate --height 64", {"generate": {"height": 64}}),
        ("generate --steps 9", {"generate": {"steps": 9}}),
        ("generate --guidance 2.5", {"generate": {"guidance": 2.5}}),
        ("generate --device cpu", {"generate": {"device": "cpu"}}),
        ("generate --batch-size 2", {"generate": {"batch_size": 2}}),
        ("refine --threshold 0.4", {"refine": {"threshold": "0.4"}}),
        ("refine --crf off", {"refine": {"crf_iterations": 0}}),
        ("refine --crf pydensecrf", {"refine": {"crf_backend": "pydensecrf"}}),
        ("refine --affinity net", {"refine": {"affinity": "net"}}),
        ("run --crf off --steps 9", {"generate": {"steps": 9}, "refine": {"crf_iterations": 0}}),
        ("run --num 2 --threshold auto", {"num": "2", "refine": {"threshold": "auto"}}),
        ("filter --folds 2", {"filter": {"folds": 2}}),
        ("filter --keep 0.3", {"filter": {"keep": "0.3"}}),
        ("filter --segmenter efficientnet-lite0", {"filter": {"segment": {"checkpoint": "efficientnet-lite0"}}}),
        ("filter --clip a/b", {"filter": {"clip": "a/b"}}),
        ("filter --device cpu", {"filter": {"device": "cpu"}}),
        ("filter --pictures gone.png", {"filter": {"pictures": "gone.png"}}),
        ("splice --num 4", {"splice": {"num": 4}}),
        ("splice --paste 4", {"splice": {"paste": 4}}),
        ("splice --size 128", {"splice": {"size": 128}}),
        ("splice --mix 2x2=3,3x3=1", {"splice": {"mix": "2x2=3,3x3=1"}}),
        ("splice --val-share 0.2", {"splice": {"val_share": 0.2}}),
        ("annotate --model sd15", {"generate": {"model": "sd15"}}),
        ("annotate --device cpu", {"generate": {"device": "cpu"}}),
        ("annotate --seed 1 --shard-size 2", {"seed": 1, "shard_size": 2}),
        ("annotate --timesteps 100,200", {"annotate": {"timesteps": ["100", "200"]}}),
        ("annotate --seeds 2", {"annotate": {"seeds": 2}}),
        ("annotate --min-presence 0.1", {"annotate": {"min_presence": "0.1"}}),
        ("annotate --min-presence off", {"annotate": {"min_presence": None}}),
        ("refine --set refine.certainty=0.9 --set num=3", {"num": 3, "refine": {"certainty": 0.9}}),
        ("refine --threshold 0.4 --set refine.threshold=auto", {"refine": {"threshold": "auto"}}),
        ("generate --classes dog,bird", {"classes": [{"name": "dog"}, {"name": "bird"}]}),
    ],
)
def test_a_flag_sets_what_it_says(arguments, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *rest = arguments.split()
    place = [] if name in ("generate", "run", "annotate") else ["a"]
    flags = dict(asked(name, *place, *rest).flags)
    if "classes" in flags:
        flags["classes"] = [{"name": item["name"]} if isinstance(item, dict) else {"name": item}
                            for item in flags["classes"]]  # fmt: skip
    assert flags == settings


def test_paths_that_are_kept_with_the_run_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = asked("annotate", "photos", "--image-classes", "list.csv")
    here = Path.cwd()
    assert request.flags == {"annotate": {"images": str(here / "photos"), "image_classes": str(here / "list.csv")}}


def test_a_class_file_gives_synonyms(tmp_path):
    (tmp_path / "classes.txt").write_text("dog: puppy\nbird\n")
    request = asked("generate", "--classes-file", str(tmp_path / "classes.txt"))
    assert [item["name"] for item in request.flags["classes"]] == ["dog", "bird"]
    with pytest.raises(UserError, match="not both"):
        asked("generate", "--classes", "dog", "--classes-file", str(tmp_path / "classes.txt"))


@pytest.mark.parametrize(
    ("arguments", "stages", "formats", "name"),
    [
        ("generate", ("prompts", "generate"), (), "generate"),
        ("annotate photos --format coco,voc", ("annotate", "refine"), ("coco", "voc"), "annotate"),
        ("refine a", ("refine",), (), "refine"),
        ("run", ("prompts", "generate", "refine"), ("coco",), "run"),
        ("run --splice --filter", ("prompts", "generate", "refine", "filter", "splice"), ("coco",), "run"),
    ],
)
def test_a_command_makes_its_stages_in_order(arguments, stages, formats, name):
    request = asked(*arguments.split())
    assert (request.stages, request.formats, request.name) == (stages, formats, name)


def test_the_flags_of_all_stages_reach_the_job(tmp_path):
    plain = asked("refine", "a")
    assert (plain.run, plain.redo, plain.append, plain.engine) == (Path("a"), False, None, IN_PROCESS)
    file = tmp_path / "run.yaml"
    file.write_text("formats: voc\n")
    request = asked("splice", "a", "--config", str(file), "--redo", "--budget", "1h", "--max-gb", "2", "--workers", "2")
    assert (request.config_file, request.redo) == (file, True)
    assert request.limits is not plain.limits
    assert request.engine is not IN_PROCESS
    assert asked("generate", "--append", "5").append == 5


class Plugin(Section):
    """Settings of a stage from elsewhere."""

    names: tuple[str, ...] = Field((), description="Names.", json_schema_extra=flag("What"))
    fast: bool = Field(False, description="Whether.", json_schema_extra=flag("Where it runs"))
    share: float = Field(0.5, description="How much.")


def test_flags_of_plain_types_need_no_validator():
    names, fast = (SettingFlag(("plugin", name), info, mark) for name, info in Plugin.model_fields.items()
                   if (mark := flag_of(info)) is not None)  # fmt: skip
    assert names.nested("a,b") == {"plugin": {"names": ["a", "b"]}}
    assert names.nested("") == {"plugin": {"names": []}}
    assert fast.parameter().annotation.__metadata__[0].default == "--fast/--no-fast"


def test_the_stages_own_flag_wins():
    assert Flags(["num", "splice"], classes=False).items["--num"].path == ("splice", "num")
