"""The summary against values worked out by hand."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from dsfactory.evaluate.plot import draw_plot
from dsfactory.evaluate.results import Results

GOOD = np.array([[90, 10, 0, 0], [0, 50, 0, 0], [0, 0, 0, 0], [0, 0, 0, 40]])
POOR = np.array([[80, 10, 10, 0], [25, 25, 0, 0], [0, 0, 0, 0], [20, 0, 0, 20]])
NAMES = ("background", "dog", "bird", "cat")


def results(**confusions):
    arms = {"synthetic": [POOR], "real": [GOOD], "both": [GOOD], **confusions}
    return Results(NAMES, arms, {"synthetic": 9, "real": 4, "val": 3}, {"steps": 7})


def test_means_and_ratio():
    found = results().as_json()
    good = [90 / 100, 50 / 60, 40 / 40]
    poor = [80 / 145, 25 / 60, 20 / 40]
    assert found["miou_real"] == found["miou_both"] == pytest.approx(np.mean(good), abs=1e-6)
    assert found["miou_synthetic"] == pytest.approx(np.mean(poor), abs=1e-6)
    assert found["ratio"] == pytest.approx(np.mean(poor) / np.mean(good), abs=1e-5)
    assert found["miou_without_background"]["real"] == pytest.approx(np.mean(good[1:]), abs=1e-6)
    assert found["per_class"]["dog"] == pytest.approx(
        {"synthetic": 25 / 60, "real": 50 / 60, "both": 50 / 60}, abs=1e-6
    )
    assert (found["val_images"], found["synthetic_images"], found["steps"]) == (3, 9, 7)


def test_a_class_that_the_test_does_not_show_counts_nowhere_even_where_it_was_guessed():
    found = results().as_json()
    assert found["absent"] == ["bird"]
    assert found["per_class"]["bird"] == {"synthetic": None, "real": None, "both": None}


def test_repetitions_give_mean_and_spread():
    found = results(synthetic=[POOR, GOOD], real=[GOOD, GOOD], both=[GOOD, GOOD]).as_json()
    low, high = results().as_json()["miou_synthetic"], results().as_json()["miou_real"]
    assert found["miou_synthetic"] == pytest.approx((low + high) / 2, abs=1e-6)
    assert found["spread"]["synthetic"] == pytest.approx((high - low) / 2**0.5, abs=1e-5)
    assert found["spread"]["real"] == 0
    assert results().as_json()["spread"]["synthetic"] is None


def test_nothing_learnt_from_real_gives_no_ratio():
    nothing = np.zeros((4, 4), np.int64)
    nothing[:, 2] = [100, 50, 0, 40]
    assert results(real=[nothing]).as_json()["ratio"] is None


def test_tables_hold_every_class_and_both_means():
    rows = list(csv.DictReader(io.StringIO(results().to_csv())))
    assert [row["class"] for row in rows] == [*NAMES, "mIoU", "mIoU without background"]
    assert float(rows[1]["real"]) == pytest.approx(50 / 60, abs=1e-6) and rows[2]["real"] == ""
    assert "| dog | 41.7 | 83.3 | 83.3 |" in results().to_markdown()
    assert "± over repeats" not in results().to_text()


def test_the_plot_is_a_picture_with_bars_and_the_same_again():
    data = draw_plot(results())
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    assert min(picture.size) > 300
    assert (0x42, 0x69, 0xD0) in {colour for _, colour in picture.getcolors(1 << 20)}
    assert draw_plot(results()) == data


def test_conditions_have_means_of_their_own():
    whole = results()
    by_part = {"night": {arm: [POOR] for arm in ("synthetic", "real", "both")}}
    found = Results(NAMES, whole.confusions, whole.images, whole.settings, by_part)
    poor = whole.as_json()["miou_synthetic"]
    assert found.as_json()["by_condition"] == {"night": dict.fromkeys(("synthetic", "real", "both"), poor)}
    assert "mIoU, night" in found.to_text() and "by_condition" not in whole.as_json()
