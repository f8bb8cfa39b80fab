"""Which words name a class."""

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.stages.prompts.mentions import class_matcher, is_plural, plural, split_words
from dsfactory.stages.prompts.vocabulary import class_words, find_mentions


def named(text: str, *classes: str) -> list[list[str]]:
    specs = [ClassSpec(name=name) for name in classes]
    return [[text[start:stop] for start, stop in spans] for spans in find_mentions(text, specs)]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("dog", "A Dog and two dogs, DOGS!", ["Dog", "dogs", "DOGS"]),
        ("dog", "a dogmatic bulldog's hotdog", ["bulldog"]),
        ("dog", "the dog's bone", ["dog"]),
        ("dog", "a hot dog, Hot-Dogs and a dog house", []),
        ("dog", "a toy dog beside a dog statue", []),
        ("dog", "a puppy with puppies", ["puppy", "puppies"]),
        ("bus", "three buses at the bus stop", ["buses"]),
        ("person", "people, a man and two women", ["people", "man", "women"]),
        ("traffic light", "traffic lights, a traffic-light, light traffic", ["traffic lights", "traffic-light"]),
        ("traffic light", "a stop light", ["stop light"]),
        ("sheep", "a flock of sheep", ["sheep"]),
        ("knife", "knives and a knife", ["knives", "knife"]),
        ("wine glass", "two glasses of wine", ["glasses of wine"]),
        ("aeroplane", "an airplane and planes", ["airplane", "planes"]),
        ("airplane", "an aeroplane", ["aeroplane"]),
        ("tvmonitor", "a TV and a computer monitor", ["TV", "computer monitor"]),
        ("pottedplant", "potted plants", ["potted plants"]),
        ("orange", "an orange cat with oranges", ["oranges"]),
        ("hot dog", "a hot dog", ["hot dog"]),
        ("teddy bear", "a stuffed teddy bear", ["stuffed teddy bear"]),
        ("bear", "a teddy bear and a bear", ["bear"]),
        ("café", "in a CAFÉ beside cafés", ["CAFÉ", "cafés"]),
        ("narwhal", "narwhals and a narwhal", ["narwhals", "narwhal"]),
    ],
)
def test_mentions_of_one_class(name: str, text: str, found: list[str]) -> None:
    assert named(text, name) == [found]


def test_the_longest_phrase_belongs_to_one_class() -> None:
    assert named("a hot dog and a dog", "dog", "hot dog") == [["dog"], ["hot dog"]]
    assert named("a school bus and a bus", "bus", "school bus") == [["bus"], ["school bus"]]


def test_a_class_takes_its_name_from_the_subclasses_of_another() -> None:
    assert named("a poodle and a beagle", "dog", "poodle") == [["beagle"], ["poodle"]]
    assert named("a poodle and a beagle", "poodle", "dog") == [["poodle"], ["beagle"]]


def test_user_synonyms_count_beside_the_bundled_ones() -> None:
    spec = ClassSpec(name="dog", synonyms=("pooch",))
    assert find_mentions("a pooch and a puppy", [spec]) == [[(2, 7), (14, 19)]]


def test_a_class_that_is_a_subclass_does_not_stand_for_the_whole() -> None:
    assert class_words(ClassSpec(name="woman")).phrases == ("woman",)
    assert named("a man and a woman", "woman") == [["woman"]]


def test_where_two_classes_share_a_phrase_the_more_specific_claim_wins() -> None:
    matcher = class_matcher([["vehicle", "van"], ["van"]])
    assert [match.label for match in matcher.find(["van", "vehicle"])] == [1, 0]


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("goose", "geese"),
        ("bunch of bananas", "bunches of bananas"),
        ("plant in a pot", "plants in a pot"),
        ("sheep", "sheep"),
        ("skis", "skis"),
        ("fireman", "firemen"),
        ("café", "cafés"),
    ],
)
def test_plural(noun: str, expected: str) -> None:
    assert plural(noun) == expected


def test_is_plural() -> None:
    assert is_plural("glasses")
    assert not is_plural("sheep")
    assert not is_plural("bus")


def test_split_words() -> None:
    assert split_words("A fire-hydrant's STRASSE, straße_2") == ["a", "fire", "hydrant", "s", "strasse", "strasse", "2"]
