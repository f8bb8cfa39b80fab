"""Domains: balanced over the classes, by seed, in the user's words, and never a class that nobody asked for."""

from collections import Counter
from itertools import product

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.domains import Domains
from dsfactory.stages.prompts.steer import Steering
from dsfactory.stages.prompts.vocabulary import class_words
from tests.stages.prompts.test_stage import make_stage, rows

CLASSES = ("dog", "bird", "car")


def domains(text: str, **settings: object) -> Domains:
    return Domains(PromptsConfig.model_validate({"domains": text, **settings}))


def steering(text: str, *classes: str) -> Steering:
    words = [class_words(ClassSpec(name=name)) for name in classes]
    return Steering(PromptsConfig.model_validate({"domains": text}), words, 0)


@pytest.mark.parametrize("num", [1, 3, 7, 20])
@pytest.mark.parametrize("text", ["night,rain", "plain,night,rain,snow,fog"])
def test_cells_of_class_by_domain_differ_by_one_at_most(num: int, text: str) -> None:
    found = domains(text)
    cells = Counter((name, found.draw(5, CLASSES, name, index)[0]) for name, index in product(CLASSES, range(num)))
    counts = [cells[cell] for cell in product(CLASSES, text.split(","))]
    assert max(counts) - min(counts) <= 1
    totals = [sum(cells[name, domain] for name in CLASSES) for domain in text.split(",")]
    assert max(totals) - min(totals) <= 2


def test_weights_wordings_and_seed() -> None:
    found = domains("night:3,fog")
    drawn = [found.draw(1, CLASSES, "dog", index) for index in range(80)]
    assert Counter(name for name, _ in drawn) == {"night": 60, "fog": 20}
    wordings = Counter(text for name, text in drawn if name == "night")
    assert (
        len(wordings) == len(found.bundles["night"].wordings) and max(wordings.values()) - min(wordings.values()) <= 1
    )
    assert drawn != [found.draw(2, CLASSES, "dog", index) for index in range(80)]


def test_there_are_many_and_each_says_what_it_is() -> None:
    from dsfactory.stages.prompts.domains import _read
    from dsfactory.stages.prompts.resources import data_file

    known = _read(data_file("domains.yaml"))
    assert len(known) >= 16
    for name, bundle in known.items():
        assert name == "plain" or (len(bundle.wordings) >= 2 and bundle.negative and bundle.about)


def test_prompts_say_their_domain_and_rows_too(tmp_path) -> None:
    stage = make_stage(tmp_path, domains="night,indoor")
    stage.load()
    found = rows(stage, 0, 24)
    assert Counter((row["class_name"], row["domain"]) for row in found) == dict.fromkeys(
        product(("dog", "bird"), ("night", "indoor")), 6
    )
    for row in found:
        bundle = stage._steering.domains.bundles[row["domain"]]
        assert any(row["prompt"].endswith(text) for text in bundle.wordings)
        assert set(row) == {*stage.writes.schema.names} - {"layout"}
    assert "night" in stage.identity()["domains"] and "domains" not in make_stage(tmp_path / "b").identity()


def test_words_that_name_a_class_are_left_out() -> None:
    assert steering("motion-blur", "vehicle").domains.bundles["motion-blur"].wordings == (
        "with motion blur, long exposure",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nigth", "did you mean 'night'"),
        ("night,night", "named twice"),
        ("night:0", "from 1 to 100"),
        ("night:x", "as in night:3"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        domains(text)


def test_own_bundles_win(tmp_path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("factory: {wordings: [in a factory hall], about: [scene]}\nnight: {wordings: [by moonlight]}\n")
    found = domains("factory,night", domains_file=own)
    assert found.bundles["night"].wordings == ("by moonlight",)
    own = tmp_path / "bad.yaml"
    own.write_text("factory: {wordings: []}\n")
    with pytest.raises(UserError, match=r"bad\.yaml"):
        domains("factory", domains_file=own)


def test_distractors_are_things_of_other_kinds_and_change_nothing_where_none_are_asked_for() -> None:
    words = [class_words(ClassSpec(name=name)) for name in ("dog", "sofa")]
    drawing = Steering(PromptsConfig(distractors=2), words, 0)
    assert not {"a dog", "a couch", "a sofa"} & {*drawing.others} and len(drawing.others) > 50
    texts = [drawing.extend("A dog runs.", drawing.draw("dog", index)) for index in range(50)]
    assert all(text.startswith("A dog runs with a") and text.endswith(" in the background") for text in texts)
    assert len({*texts}) > 45
    assert "distractors" not in PromptsConfig().identity()
