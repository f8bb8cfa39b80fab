"""What labels are called: by name, by words that mean the same, or as the user says; never two of one set in one."""

import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.stages.adopt.naming import call_labels


def called(*sources, renamed=None, wanted=()):
    return call_labels([(f"set {n}", names) for n, names in enumerate(sources)], renamed or {}, wanted)


def names(found):
    return [spec.name for spec in found.classes]


def test_labels_become_classes_in_their_order():
    found = called(["dog", "traffic light"])
    assert names(found) == ["dog", "traffic light"] and found.ids == ({"dog": 1, "traffic light": 2},)


def test_sources_are_joined_by_plurals_spelling_and_synonyms():
    found = called(["dogs", "dining table", "motorbike"], ["Dog", "diningtable", "motorcycle", "zebra"])
    assert names(found) == ["dogs", "dining table", "motorbike", "zebra"]
    assert found.ids[1] == {"Dog": 1, "diningtable": 2, "motorcycle": 3, "zebra": 4}


def test_two_labels_of_one_source_stay_two_unless_they_are_renamed():
    assert len(called(["motorbike", "motorcycle"]).classes) == 2
    found = called(["car", "truck", "sky", "void", "tree"],
                   renamed={"car": "vehicle", "Truck": "vehicle", "tree": "background", "sky": "ignore"})  # fmt: skip
    assert names(found) == ["vehicle"]
    assert found.ids == ({"car": 1, "truck": 1, "sky": 255, "void": 255, "tree": 0},)


def test_chosen_classes_leave_the_others_to_the_background():
    wanted = (ClassSpec(name="vehicle", synonyms=("car", "truck")), ClassSpec(name="dog"))
    found = called(["truck", "cars", "dogs", "tree"], wanted=wanted)
    assert found.ids == ({"truck": 1, "cars": 1, "dogs": 2, "tree": 0},) and found.unknown == ("tree",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"renamed": {"lorry": "car"}}, "no source has the label 'lorry'; there are car, a/c"),
        ({}, "give it a name with --map 'a/c=NAME'"),
        ({"wanted": (ClassSpec(name="zebra"),)}, "no source has a label for the class 'zebra'"),
        ({"renamed": {"car": "ignore", "a/c": "background"}}, "no label of the sources is left"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, said):
    with pytest.raises(UserError) as error:
        called(["car", "a/c"], **arguments)
    assert said in str(error.value)


def test_more_labels_than_a_mask_holds_are_refused():
    with pytest.raises(UserError, match="8-bit masks hold 254"):
        called([f"thing {number}" for number in range(300)])
