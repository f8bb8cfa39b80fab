import pytest

from dsfactory.core.sample import sample_key
from dsfactory.dataset.split import split_of


def test_split_never_changes_between_versions():
    # A dataset that grows under a later version must not move an image from train to val.
    assert [number for number in range(60) if split_of(sample_key(number), 0.1) == "val"] == [19, 21, 26, 31, 48, 57]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_split_shares_hold_on_average(share):
    splits = [split_of(sample_key(number), share) for number in range(5000)]
    assert splits.count("val") / 5000 == pytest.approx(share, abs=0.02)


def test_larger_share_only_moves_samples_to_val():
    keys = [sample_key(number) for number in range(500)]
    small, large = ({key for key in keys if split_of(key, share) == "val"} for share in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize(("share", "split"), [(0.0, "train"), (1.0, "val")])
def test_share_of_nothing_and_of_everything(share, split):
    assert {split_of(sample_key(number), share) for number in range(200)} == {split}
