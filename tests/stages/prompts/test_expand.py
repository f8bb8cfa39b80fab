"""Prompts from templates."""

import re
from pathlib import Path

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.prompts.expand import Expander, Templates, with_article
from dsfactory.stages.prompts.vocabulary import class_words


def expander(*classes: str, templates: Path | None = None) -> Expander:
    return Expander([class_words(ClassSpec(name=name)) for name in classes], Templates.read(templates))


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("dog", "a dog"),
        ("airplane", "an airplane"),
        ("umbrella", "an umbrella"),
        ("unicycle", "a unicycle"),
        ("utility pole", "a utility pole"),
        ("SUV", "an SUV"),
        ("glasses", "glasses"),
        ("sheep", "a sheep"),
        ("bus", "a bus"),
    ],
)
def test_with_article(noun: str, expected: str) -> None:
    assert with_article(noun) == expected


def test_the_first_prompt_is_the_plain_one() -> None:
    prompt = expander("dog", "bird").make(0, 1, 0)
    assert (prompt.text, prompt.source, prompt.classes) == ("a photo of a dog", "template", ("dog",))


def test_prompts_differ_until_they_are_exhausted() -> None:
    maker = expander("dog")
    prompts = [maker.make(0, 1, number) for number in range(maker.count(0, 1))]
    assert len({prompt.text for prompt in prompts}) == len(prompts) > 1000
    assert len({prompt.source for prompt in prompts[:20]}) > 10
    assert any(prompt.text.startswith("a photo of a beagle dog") for prompt in prompts)
    assert {prompt.source for prompt in prompts if "beagle" in prompt.text} == {"subclass:beagle"}


def test_an_unknown_class_gets_templates() -> None:
    maker = expander("axolotl")
    prompts = {maker.make(0, 1, number).text for number in range(maker.count(0, 1))}
    assert len(prompts) > 50
    assert all("an axolotl" in prompt for prompt in prompts)


def test_several_classes_take_even_shares() -> None:
    maker = expander("dog", "bird", "cat", "horse")
    prompts = [maker.make(0, 2, number) for number in range(60)]
    assert all(prompt.classes[0] == "dog" and len(set(prompt.classes)) == 2 for prompt in prompts)
    partners = [prompt.classes[1] for prompt in prompts]
    assert all(partners.count(name) >= 10 for name in ("bird", "cat", "horse"))
    assert "a dog, " in maker.make(0, 3, 1).text
    assert " and a" in maker.make(0, 3, 1).text


def test_scenes_that_name_a_class_of_the_run_are_left_out() -> None:
    alone, beside = expander("bottle"), expander("bottle", "dining table")
    assert any("wooden table" in alone.make(0, 1, number).text for number in range(alone.count(0, 1)))
    assert not any("table" in beside.make(0, 1, number).text for number in range(beside.count(0, 1)))


def test_own_templates(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text('one: ["a satellite image of {object}"]\nseveral: ["from above: {objects}"]\nscenes: {}\n')
    maker = expander("boat", "airplane", templates=path)
    assert maker.make(0, 1, 0).text == "a satellite image of a boat"
    assert maker.make(0, 2, 0).text == "from above: a boat and an airplane"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('one: ["a dog"]\nseveral: ["{objects}"]\nscenes: {}', "must hold {object}"),
        ('one: ["{object} {place}"]\nseveral: ["{objects}"]\nscenes: {}', "must hold {object}"),
        ('one: ["{object.__class__}"]\nseveral: ["{objects}"]\nscenes: {}', "must hold {object}"),
        ('one: ["{object}"]\nscenes: {}', "several"),
        ('one: ["{object}"]\nsevral: ["{objects}"]\nscenes: {}', "sev"),
        ("- one", "must hold"),
    ],
)
def test_bad_templates_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as error:
        Templates.read(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_each_value_of_an_axis_comes_equally_often(tmp_path: Path) -> None:
    file = tmp_path / "templates.yaml"
    file.write_text(
        "axes: {camera: [on film, from above, up close], light: [at dawn, at noon]}\n"
        "one: ['a photo of {object} {camera} {light}', '{object} {scene}, {light}, {camera}']\n"
        "several: ['{objects} {light}']\nscenes: {outdoor: [on the grass]}\n"
    )
    maker = expander("dog", "bird", templates=file)
    prompts = [maker.make(0, 1, number).text for number in range(60)]
    for values in (("on film", "from above", "up close"), ("at dawn", "at noon")):
        assert [sum(value in text for text in prompts) for value in values] == [60 // len(values)] * len(values)
    assert all("{" not in text for text in (*prompts, maker.make(0, 2, 0).text))


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ("{scene: [here]}", "the axis 'scene' must be a word other than"),
        ("{camera: []}", "the axis 'camera' must have values"),
        ("{light: [at dawn]}", "may hold {scene} and each axis once"),
    ],
)
def test_an_axis_that_cannot_be_is_named(tmp_path: Path, axes: str, says: str) -> None:
    file = tmp_path / "templates.yaml"
    file.write_text(f"axes: {axes}\none: ['{{object}} {{camera}}']\nseveral: ['{{objects}}']\nscenes: {{}}\n")
    with pytest.raises(UserError, match=re.escape(says)):
        expander("dog", templates=file)
