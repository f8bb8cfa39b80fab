from collections import Counter

from dsfactory.core.sample import sample_key
from dsfactory.stages.filter.folds import assign_folds


def samples(count, classes=("dog", "bird", "cat")):
    return [(sample_key(number), classes[number % len(classes)]) for number in range(count)]


def test_every_fold_has_its_share_of_every_class():
    given = samples(100)
    counts = Counter(zip(assign_folds(given, 4), (name for _, name in given), strict=True))
    assert len(counts) == 12
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_order_of_the_samples_changes_nothing():
    given = samples(30)
    straight = dict(zip(given, assign_folds(given, 3), strict=True))
    assert dict(zip(given[::-1], assign_folds(given[::-1], 3), strict=True)) == straight


def test_as_many_samples_as_folds_leave_none_empty():
    assert sorted(assign_folds(samples(5), 5)) == [0, 1, 2, 3, 4]


def test_neighbours_are_not_dealt_in_turn():
    """Keys are numbers: dealt by number, a run whose every third image is special would have a special fold."""
    folds = assign_folds(samples(60, ("dog",)), 3)
    assert folds != [number % 3 for number in range(60)]
