import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dsfactory.stages.refine.clean import drop_small_parts, fill_holes, label_instances, scaled_limit, set_void

labels_strategy = arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 0, 0, 1, 2, 7, 255])
)


def paint(text):
    """A label image from rows of characters: ``.`` background, digits, ``v`` void."""
    values = {".": 0, "v": 255, **{str(digit): digit for digit in range(10)}}
    return np.array([[values[character] for character in row] for row in text.split()], dtype=np.uint8)


def test_paint_draws_what_is_written():
    assert paint(".1v 002").tolist() == [[0, 1, 255], [0, 0, 2]]


def test_small_boxes_are_dropped_and_long_thin_parts_kept():
    labels = paint("1..... ...2.. ..2... .2.... 2.....")
    assert np.array_equal(drop_small_parts(labels, 10), paint("...... ...2.. ..2... .2.... 2....."))
    assert np.array_equal(drop_small_parts(labels, 0), labels)


def test_limit_scales_with_the_area():
    assert scaled_limit(1500, (512, 512)) == 1500
    assert scaled_limit(1500, (128, 256)) == pytest.approx(1500 / 8)


def test_holes_are_filled_up_to_a_size():
    ring = paint("..... .111. .1.1. .111. .....")
    assert np.array_equal(fill_holes(ring, 1), paint("..... .111. .111. .111. ....."))
    assert np.array_equal(fill_holes(ring, 0.5), ring)


@pytest.mark.parametrize("text", ["111 1.2 111", "111 1.v 111", "111 1.1 1.1", "... .1. ..."])
def test_what_is_no_hole_stays(text):
    assert np.array_equal(fill_holes(paint(text), 100), paint(text))


def test_diagonal_contact_closes_a_hole():
    assert np.array_equal(fill_holes(paint(".1. 1.1 .1."), 100), paint(".1. 111 .1."))


def test_instances_are_numbered_in_reading_order_across_classes():
    instances, counts = label_instances(paint("..2..1 1....1 1.v... 1...22"))
    assert np.array_equal(instances, paint("..1..2 3....2 3.v... 3...44"))
    assert counts == {1: 2, 2: 2}


def test_touching_classes_are_two_instances_and_diagonals_join():
    instances, counts = label_instances(paint("11.. 22.. ..2."))
    assert np.array_equal(instances, paint("11.. 22.. ..2."))
    assert counts == {1: 1, 2: 1}


def test_too_many_parts_are_refused():
    labels = np.zeros((64, 64), dtype=np.uint8)
    labels[::2, ::2] = 1
    with pytest.raises(ValueError, match="1024 parts"):
        label_instances(labels)


def test_an_object_that_void_cuts_in_pieces_stays_one():
    labels, where = paint("11111 ..2.. 11111"), paint("..1.. ..1.. 1...1") == 1
    void, instances = set_void(labels, label_instances(labels)[0], where)
    assert np.array_equal(void, paint("11v11 ..v.. v111v"))
    assert np.array_equal(instances, paint("11v11 ..v.. v222v"))  # the third has gone, and its number with it
    assert np.array_equal(labels, paint("11111 ..2.. 11111"))


def test_void_only():
    instances, counts = label_instances(np.full((3, 4), 255, dtype=np.uint8))
    assert (instances == 255).all()
    assert counts == {}


@settings(max_examples=150)
@given(labels_strategy, st.integers(0, 20))
def test_dropping_only_takes_away(labels, limit):
    cleaned = drop_small_parts(labels, limit)
    changed = cleaned != labels
    assert (cleaned[changed] == 0).all()
    assert not (labels[changed] == 255).any()
    assert np.array_equal(drop_small_parts(cleaned, limit), cleaned)


@settings(max_examples=150)
@given(labels_strategy, st.integers(0, 20))
def test_filling_only_adds(labels, limit):
    filled = fill_holes(labels, limit)
    changed = filled != labels
    assert (labels[changed] == 0).all()
    assert not (filled[changed] == 255).any()
    assert set(np.unique(filled)) <= set(np.unique(labels))


@settings(max_examples=150)
@given(labels_strategy)
def test_instances_cover_exactly_the_classes(labels):
    instances, counts = label_instances(labels)
    assert np.array_equal(instances == 0, labels == 0)
    assert np.array_equal(instances == 255, labels == 255)
    ids = [value for value in np.unique(instances) if value not in (0, 255)]
    assert ids == list(range(1, sum(counts.values()) + 1))
    firsts = [int(np.flatnonzero(instances.ravel() == value)[0]) for value in ids]
    assert firsts == sorted(firsts)
    for value in ids:
        assert len(np.unique(labels[instances == value])) == 1
