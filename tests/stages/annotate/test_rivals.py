from dsfactory.core.classes import ClassSpec
from dsfactory.stages.annotate.rivals import BACKGROUND, STUFF, backgrounds, other_things
from dsfactory.stages.prompts.vocabulary import entries


def names(*classes: ClassSpec) -> list[str]:
    return [spec.name for spec in other_things(classes)]


def test_things_that_are_not_asked_for_are_rivals() -> None:
    others = names(ClassSpec(name="dog"), ClassSpec(name="cat"))
    assert others == [name for name in entries() if name not in ("dog", "cat", *STUFF)]
    assert {"person", "elephant", "bird"} <= {*others}


def test_a_class_does_not_compete_with_itself_under_another_name() -> None:
    assert "aeroplane" not in names(ClassSpec(name="airplane"))
    assert "sofa" not in names(ClassSpec(name="canape", synonyms=("couch",)))


def test_a_word_that_may_mean_a_thing_here_has_no_rivals() -> None:
    assert names(ClassSpec(name="dog"), ClassSpec(name="animal")) == names(ClassSpec(name="puppy dog")) == []


def test_a_background_that_is_asked_for_is_none() -> None:
    assert [spec.name for spec in backgrounds([ClassSpec(name="sky")])] == [
        name for name in BACKGROUND if name != "sky"
    ]
