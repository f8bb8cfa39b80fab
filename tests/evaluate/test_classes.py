import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.evaluate.classes import match_classes
from dsfactory.formats.voc.folder import VOC_CLASSES


def table(names, real=VOC_CLASSES):
    specs = [name if isinstance(name, ClassSpec) else ClassSpec(name=name) for name in names]
    return match_classes(specs, real, "real")


def test_ids_become_those_of_the_run_and_other_classes_background():
    found = table(["dog", "bird"])
    assert found[[12, 3, 8, 0, 255]].tolist() == [1, 2, 0, 0, 255]


def test_names_are_compared_without_case_spaces_and_hyphens():
    assert table(["Dining Table", "potted-plant"])[[11, 16]].tolist() == [1, 2]


def test_synonyms_help_where_the_name_is_not_there():
    assert table([ClassSpec(name="airplane", synonyms=("plane", "aeroplane"))])[1] == 1


def test_void_labels_are_left_out():
    assert table(["dog"], ("background", "dog", "void")).tolist()[:3] == [0, 1, 255]


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (
            ["dog", "unicorn"],
            "real has no class 'unicorn': it has aeroplane, .* Rename it in labelmap",
        ),
        (["sheeps"], "is it 'sheep' there"),
        (["background"], "has no class 'background'"),
        ([ClassSpec(name="dog"), ClassSpec(name="hound", synonyms=("dog",))], "'dog' and 'hound' are both 'dog'"),
    ],
)
def test_what_cannot_be_matched_is_said(names, match):
    with pytest.raises(UserError, match=match):
        table(names)
