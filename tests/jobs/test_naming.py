"""What the classes are called: what is refused, understood, asked about and said again."""

import json
from pathlib import Path

import pytest

from dsfactory.core.classes import ClassSpec, label_slug, parse_class_list, read_class_file
from dsfactory.core.section import parse_section
from dsfactory.errors import UserError
from dsfactory.jobs.describe import commented_yaml
from dsfactory.jobs.naming import check_new, first_notes, standing_notes, with_understood
from dsfactory.jobs.settings import resolve_config
from dsfactory.stages import RunConfig
from dsfactory.stages.prompts.vocabulary import class_words, find_mentions
from tests.command import call_tiny, called
from tests.making import planned


def config(classes: str, **more: object) -> RunConfig:
    return parse_section(RunConfig, {"classes": parse_class_list(classes), **more}, "settings")


@pytest.mark.parametrize("name", ["background", "Void", "ignore", "unlabeled"])
def test_labels_that_every_mask_has_are_no_classes(name: str) -> None:
    with pytest.raises(UserError, match="cannot be a class"):
        check_new(config(f"dog,{name}").classes)


def test_a_plural_is_understood_and_said_and_a_slip_is_asked_about() -> None:
    asked = config("dogs,elefant,Traffic Lights,scissors,zorps,mouse,crane")
    found = with_understood(asked, None)
    names = [spec.name for spec in found.classes]
    assert names == ["dog", "elefant", "Traffic Light", "scissors", "zorps", "mouse", "crane"]
    notes = first_notes(asked.classes, found)
    assert notes[0] == "'dogs' is understood as the class 'dog'" and "'Traffic Light'" in notes[1]
    assert "'elefant' is not in the built-in word list: did you mean 'elephant'?" in notes
    assert any("'mouse' is taken for the computer mouse" in note for note in notes)
    assert any("'crane=crane bird' or 'crane=construction crane'" in note for note in notes)
    with pytest.raises(UserError, match="named twice"):
        with_understood(config("dog,dogs"), None)


def test_a_label_may_be_in_any_script_and_the_words_after_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("狗: dog, puppy\nHund = dog\nकुत्ता: dog\nbird: sparrow\n", encoding="utf-8")
    specs = [ClassSpec(**item) for item in read_class_file(tmp_path / "classes.txt")]
    assert [spec.word for spec in specs] == ["dog", "dog", "dog", "bird"]
    assert [spec.only_label for spec in specs] == [True, True, True, False]
    assert len({spec.slug for spec in specs}) == 4 and all(spec.slug.isascii() for spec in specs)
    assert specs[0].slug == label_slug("狗") == "class-" + specs[0].slug[-8:] and specs[1].slug == "hund"
    words = class_words(specs[0])
    assert (words.name, words.noun) == ("狗", "dog") and "beagle" in words.subclasses and "狗" not in words.phrases
    assert find_mentions("two puppies and 狗", specs[:1]) == [[(4, 11)]]
    assert specs[3].model_dump() == {"name": "bird", "synonyms": ("sparrow",)}  # as runs of before have it


@pytest.mark.parametrize(
    ("text", "message"),
    [("狗", "has the character '狗'.*狗=dog"), ("狗=", "a class name is empty"), ("狗=犬", "has the character '犬'"),
     ("a\x1b=dog", "has the character"), ("../狗=dog", "looks like a path"), ("…=dog", "no letter or digit")],
)  # fmt: skip
def test_a_label_without_words_that_can_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(text)


def test_labels_survive_the_settings_on_the_disk(tmp_path: Path) -> None:
    for text in ("狗=dog,bird", "Hund=dog,bird"):
        made = config(text)
        for place, content in (("a.yaml", made.to_yaml()), ("b.yaml", commented_yaml(made))):
            (tmp_path / place).write_text(content, encoding="utf-8")
            assert resolve_config(tmp_path / place, None, {}) == made


@pytest.mark.long
def test_what_a_model_never_learnt_is_said_again_with_everything_that_is_made(tiny_model: Path, tmp_path: Path) -> None:
    assert "pocket never learnt zebra" in planned(("prompts", "generate"), tmp_path / "p", {
        "classes": ["zebra"], "generate": {"model": "pocket"}}).notes[0]  # fmt: skip
    run = tmp_path / "run"
    assert (
        call_tiny(tiny_model, "run", "--classes", "zebra", "--num", "2", "--out", "run", cwd=tmp_path).returncode == 0
    )
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace(str(tiny_model), "pocket"))
    said = standing_notes(config("zebra,brid", generate={"model": "pocket"}))
    assert "never learnt zebra, brid (did you mean bird?)" in said[0]
    assert "pocket never learnt zebra" in planned(("refine",), run, {}, redo=True).notes[0]
    assert "pocket never learnt zebra" in called("export", "run", "--redo", cwd=tmp_path).stdout
    assert called("report", "run", cwd=tmp_path).returncode == 0
    assert "pocket never learnt zebra" in (run / "report.html").read_text()


@pytest.mark.long
def test_a_run_in_another_script_goes_all_the_way(tiny_model: Path, tmp_path: Path) -> None:
    begun = ["--out", "run", "--num", "2", "--format", "coco,voc,yolo,cvat,parquet"]
    done = call_tiny(tiny_model, "run", "--classes", "狗=dogs,bird", *begun, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    coco = json.loads((tmp_path / "run/export/coco/annotations/instances_train.json").read_text())
    assert [item["name"] for item in coco["categories"]] == ["狗", "bird"]
    assert (tmp_path / "run/export/voc/labelmap.txt").read_text(encoding="utf-8").splitlines()[2].startswith("狗:")
    prompt = next(image["prompt"] for image in coco["images"])
    assert "狗" not in prompt
    assert call_tiny(tiny_model, "generate", "--classes", "background", "--out", "x", cwd=tmp_path).returncode == 2
    assert not (tmp_path / "x").exists()
