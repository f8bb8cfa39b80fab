import numpy as np
import pytest

from dsfactory.formats.reading.labels import FixedLabels, finished, same_labels


def fixed(mask, instances=None, knows_void=True):
    return FixedLabels("00000000", np.array(mask, dtype=np.uint8), instances, knows_void)


def test_instances_are_numbered_by_their_first_pixel_and_split_by_class():
    mask = [[0, 1, 1], [2, 2, 0], [0, 0, 255]]
    labels = finished(fixed(mask, np.array([[0, 9, 9], [9, 9, 0], [0, 0, 7]])), None)
    assert labels[0].tolist() == mask
    assert labels[1].tolist() == [[0, 1, 1], [2, 2, 0], [0, 0, 255]]


def test_a_mask_that_fills_the_image():
    assert finished(fixed([[1, 1], [2, 2]], np.array([[5, 5], [3, 3]])), None)[1].tolist() == [[1, 1], [2, 2]]


def test_parts_are_objects_where_the_format_has_none():
    mask = [[1, 0, 2], [0, 1, 0], [0, 0, 0], [1, 0, 2]]
    assert finished(fixed(mask), None)[1].tolist() == [[1, 0, 2], [0, 1, 0], [0, 0, 0], [3, 0, 4]]


def test_what_a_format_without_void_leaves_open_stays_void():
    before = np.array([[255, 255, 0]], dtype=np.uint8)
    assert finished(fixed([[0, 1, 0]], knows_void=False), before)[0].tolist() == [[255, 1, 0]]
    assert finished(fixed([[0, 1, 0]]), before)[0].tolist() == [[0, 1, 0]]


def test_too_many_objects_are_refused():
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[::2, ::2] = 1
    with pytest.raises(ValueError, match="400 objects"):
        finished(FixedLabels("x", mask, None, True), None)


def test_the_numbers_of_instances_do_not_matter():
    mask = np.array([[1, 1, 0, 2]], dtype=np.uint8)
    one, other = np.array([[1, 2, 0, 3]], dtype=np.uint8), np.array([[3, 1, 0, 2]], dtype=np.uint8)
    assert same_labels((mask, one), (mask, other))
    assert not same_labels((mask, one), (mask, np.array([[1, 1, 0, 2]], dtype=np.uint8)))
    assert not same_labels((mask, one), (np.array([[1, 1, 0, 1]], dtype=np.uint8), one))
