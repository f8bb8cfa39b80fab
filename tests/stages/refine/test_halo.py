import cv2
import numpy as np
import pytest

from dsfactory.stages.refine.halo import find_halos, takes_place, without_peak

SIDE = 128


def disc(radius, centre=(64, 64)):
    image = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(image, centre, radius, 1, cv2.FILLED)
    return image > 0


def around(labels, level, max_halo=0.75):
    """Halos of class 2, whose map is 0.8 where it has its mask and ``level`` on class 1."""
    maps = np.stack([labels == 1, np.where(labels == 2, 0.8, np.where(labels == 1, level, 0.0))]).astype(np.float32)
    return find_halos(labels, maps, (1, 2), max_halo)


def ring(inner, outer):
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[disc(outer)] = 2
    labels[disc(inner)] = 1
    return labels


def test_a_rim_around_what_its_own_map_points_at_is_a_halo():
    labels = ring(20, 30)
    found = around(labels, 0.9)
    assert found.share == [0.0, 1.0]
    assert np.array_equal(found.where, labels == 2)
    assert around(labels, 0.9, max_halo=0).share == [0.0, 0.0]


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        (ring(20, 30), 0.3),  # the map is low on what is inside: a wreath around a bell
        (ring(20, 60), 0.9),  # a sofa, and a cat on it
    ],
)
def test_what_really_stands_around_something_is_none(labels, level):
    assert around(labels, level).share == [0.0, 0.0]


def test_beside_is_not_around():
    labels = np.where(disc(20, (40, 64)), 1, np.where(disc(20, (81, 64)), 2, 0)).astype(np.uint8)
    assert around(labels, 0.9).share == [0.0, 0.0]


def test_of_an_object_with_a_halo_elsewhere_the_object_stays():
    labels = ring(14, 20)
    labels[disc(24, (64, 24)) & (labels == 0)] = 2
    labels[:46][labels[:46] == 2] = 0
    labels[disc(18, (100, 24))] = 2
    found = around(labels, 0.9)
    assert 0 < found.share[1] < 0.6
    assert not found.where[disc(17, (100, 24))].any()


def test_a_map_without_a_peak_shows_beside_one_that_has_it():
    assert without_peak(np.array([0.98, 0.7])) == [1]
    assert without_peak(np.array([0.7, 0.7])) == [], "some models' maps are all flat"
    assert without_peak(np.array([0.98, 0.93])) == []
    assert takes_place(np.array([0.93, 0.98]), 0, 1)
    assert not takes_place(np.array([0.98, 0.98]), 0, 1)
    assert not takes_place(np.array([1.0, 1.0]), 0, 1)
