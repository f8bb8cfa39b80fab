"""Attributes: even shares, seeded, never a second place beside the wished one, and the class stays where it was."""

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.mentions import split_words
from dsfactory.stages.prompts.retrieve import SAFE_BYTES
from dsfactory.stages.prompts.steer import Steering
from dsfactory.stages.prompts.vocabulary import class_words, find_mentions
from tests.stages.prompts.test_stage import make_stage, rows

SCENES = ("in the snow", "on the beach", "at night")
STYLES = ("watercolour", "35mm film")


def steering(seed: int = 0, classes: str = "dog,bird", **settings: object) -> Steering:
    words = [class_words(ClassSpec(name=name)) for name in classes.split(",")]
    return Steering(PromptsConfig.model_validate(settings), words, seed)


def test_every_value_comes_equally_often_and_by_seed() -> None:
    def draw(name: str, seed: int = 0) -> list[dict[str, str | None]]:
        drawing = steering(seed, scene=SCENES, style=STYLES)
        return [drawing.draw(name, index) for index in range(60)]

    drawn = draw("dog")
    assert Counter(wish["scene"] for wish in drawn) == dict.fromkeys(SCENES, 20)
    assert Counter(wish["style"] for wish in drawn) == dict.fromkeys(STYLES, 30)
    assert len({(wish["scene"], wish["style"]) for wish in drawn}) == 6
    assert {wish["weather"] for wish in drawn} == {None}
    assert drawn == draw("dog")
    assert drawn != draw("dog", seed=1)
    assert drawn != draw("bird")


def test_the_number_of_objects_and_a_list_of_that_length_are_independent() -> None:
    drawing = steering(scene=SCENES)
    drawn = [drawing.draw("dog", index)["scene"] for index in range(90)]
    assert len({(index % 3, scene) for index, scene in enumerate(drawn)}) == 9


@pytest.mark.parametrize(
    ("text", "wishes", "expected"),
    [
        ("A dog runs.", {"scene": "in the snow"}, "A dog runs in the snow"),
        ("A dog runs", {"scene": "beach"}, "A dog runs, beach"),
        ("A dog runs", {"style": "watercolour", "weather": "in the rain", "scene": "on a hill"},
         "A dog runs on a hill in the rain, watercolour"),
        ("A dog runs.", {}, "A dog runs."),
    ],
)  # fmt: skip
def test_captions_are_extended_at_their_end(text: str, wishes: dict[str, str], expected: str) -> None:
    every: dict[str, str | None] = {"style": None, "scene": None, "weather": None, **wishes}
    assert steering().extend(text, every) == expected


def test_the_slot_of_a_template_takes_the_scene() -> None:
    wishes: dict[str, str | None] = {"style": "watercolour", "scene": "in the snow", "weather": None}
    assert steering().fill("a photo of a dog {scene} on a walk", wishes) == (
        "a photo of a dog in the snow on a walk, watercolour"
    )
    assert steering().fill("a photo of a dog", wishes) == "a photo of a dog in the snow, watercolour"


def test_a_steered_stage_writes_what_it_asked_for(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, scene=SCENES, style=STYLES)
    stage.load()
    found = rows(stage, 0, 400)
    specs = [ClassSpec(name="dog"), ClassSpec(name="bird")]
    assert {row["source"].partition(":")[0] for row in found} >= {"coco-val2017", "subclass"}
    for row in found:
        assert row["scene"] in SCENES and row["style"] in STYLES and row["weather"] is None
        assert row["prompt"].endswith(f", {row['style']}") and row["scene"] in row["prompt"]
        assert sum(row["prompt"].count(scene) for scene in SCENES) == 1
        assert "{" not in row["prompt"] and "photo" not in row["prompt"]
        spans = find_mentions(row["prompt"], specs)
        assert [spec.name for spec, places in zip(specs, spans, strict=True) if places] == row["classes"]
        assert max(stop for places in spans for _, stop in places[:1]) <= SAFE_BYTES
    others = rows(stage, 0, 7) + rows(stage, 7, 400)
    assert others == found


def test_captions_that_speak_of_what_is_steered_are_left_out(tmp_path: Path) -> None:
    corpus = tmp_path / "my.txt"
    corpus.write_text("A dog on a bed\nA dog eats a bone\nA dog in the fog\n" + f"A dog {'very ' * 46}old\n")
    stage = make_stage(tmp_path, "dog", corpus=str(corpus), scene=["in the snow"])
    stage.load()
    found = rows(stage, 0, 30)
    assert [row["prompt"] for row in found if row["source"].startswith("file")] == ["A dog eats a bone in the snow"]
    assert all(len(split_words(row["prompt"])) <= 50 for row in found)


def test_a_scene_before_the_class_in_a_template_goes_behind_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text('one: ["{scene} {object}"]\nseveral: ["{objects}"]\nscenes: {outdoor: [a field with]}\n')
    stage = make_stage(tmp_path, "dog", templates=mine, pool=0, scene=["in the snow"])
    stage.load()
    assert rows(stage, 0, 1)[0]["prompt"] == "a dog in the snow"


def test_without_attributes_the_identity_is_silent_about_them(tmp_path: Path) -> None:
    plain = make_stage(tmp_path).identity()
    assert not {"style", "scene", "weather", "attribute_words"} & set(plain)
    steered = make_stage(tmp_path, weather=["foggy"]).identity()
    assert steered["weather"] == ["foggy"] and set(steered) - set(plain) == {"weather", "attribute_words"}


def test_an_attribute_must_not_name_a_class() -> None:
    with pytest.raises(UserError, match="'on a boat' names the class 'boat'"):
        steering(classes="dog,boat", scene=["on a boat"])
    steering(classes="dog,cat", scene=["on a boat"])


@pytest.mark.parametrize("value", ["a,,b", [" "], "snow,snow", "{object}", "x" * 61, ["a\nb\x07"], [3]])
def test_bad_values(value: object) -> None:
    with pytest.raises(ValidationError):
        PromptsConfig.model_validate({"scene": value})


@pytest.mark.parametrize(("value", "expected"), [("a, b ", ("a", "b")), ("", ()), (None, ()), (["a, b"], ("a, b",))])
def test_values(value: object, expected: tuple[str, ...]) -> None:
    assert PromptsConfig.model_validate({"scene": value}).scene == expected
