from hypothesis import given
from hypothesis import strategies as st

from dsfactory.core.numbering import Numbering

NAMES = ("dog", "bird", "cat")


def test_classes_take_turns():
    numbering = Numbering(NAMES, 5)
    assert [numbering.place(number) for number in range(5)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]
    assert numbering.counts() == {"dog": 2, "bird": 2, "cat": 1}


def test_a_class_that_is_to_have_more_has_numbers_of_its_own_after_the_turns():
    numbering = Numbering(NAMES, 0).grown({"dog": 4, "bird": 1, "cat": 2})
    assert (numbering.total, numbering.blocks) == (7, ((3, 6, 0), (6, 7, 2)))
    assert [numbering.place(number) for number in range(7)] == [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (0, 3), (2, 1)]


def test_an_equal_number_is_the_same_as_turns():
    assert Numbering(NAMES, 0).grown(dict.fromkeys(NAMES, 3)) == Numbering(NAMES, 9)
    assert Numbering(NAMES, 9).grown(dict.fromkeys(NAMES, 2)) == Numbering(NAMES, 9)


targets = st.lists(st.fixed_dictionaries({name: st.integers(0, 6) for name in NAMES}), max_size=4)


@given(targets)
def test_growth_in_any_proportion_changes_no_number_and_names_each_sample_once(wanted):
    numbering = Numbering(NAMES, 0)
    most = dict.fromkeys(NAMES, 0)
    for target in wanted:
        before, numbering = numbering, numbering.grown(target)
        assert [before.place(n) for n in range(before.total)] == [numbering.place(n) for n in range(before.total)]
        most = {name: max(most[name], target[name]) for name in NAMES}
        assert numbering.counts() == most
        places = [numbering.place(number) for number in range(numbering.total)]
        each = [(position, index) for position, name in enumerate(NAMES) for index in range(most[name])]
        assert sorted(places) == each
