"""The arithmetic of the figures, on labels small enough to count by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resvg_py")

from dsfactory.core.sample import VOID
from scripts import ablation, ablation_sets, absent_classes, annotate_measure, annotate_tune
from scripts.annotate_measure import Overlap, cut, in_list, judgement


def test_the_highest_map_wins_where_it_reaches_its_threshold() -> None:
    maps = np.array([[[0.9, 0.55, 0.2, 0.45]], [[0.7, 0.58, 0.1, 0.1]]], np.float32)
    assert cut(maps, [0.5, 0.5]).tolist() == [[1, 2, 0, 0]]
    assert cut(maps, [0.6, 0.6], void_from=0.5).tolist() == [[1, VOID, 0, 0]]
    assert cut(maps, [0.4, 0.6]).tolist() == [[1, 0, 0, 1]]  # the threshold is that of the class that wins


def test_overlap_counts_over_all_images_and_void_both_ways() -> None:
    overlap = Overlap(("dog", "bird"))
    overlap.add(np.array([[1, 1, VOID, 2]], np.uint8), np.array([[1, 1, 1, 0]], np.uint8))
    overlap.add(np.array([[0, 0, 0, 2]], np.uint8), np.array([[0, 0, 0, 2]], np.uint8))
    figures = overlap.figures()
    assert figures["iou"] == {"dog": pytest.approx(2 / 3), "bird": pytest.approx(1 / 2)}
    assert figures["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["miou_without_void"] == pytest.approx((1 + 1 / 2) / 2)
    assert figures["void"] == pytest.approx(1 / 8)


def test_labels_of_a_scene_become_labels_of_the_class_list() -> None:
    labels = np.array([[0, 1, 2, VOID]], np.uint8)
    assert in_list(labels, ("car", "bird"), ("dog", "bird", "car")).tolist() == [[0, 3, 2, VOID]]


def test_judgement_counts_decisions() -> None:
    gains = np.array([[0.02, 0.001, -0.1], [0.0, 0.03, 0.06]], np.float32)
    shown = np.array([[True, False, False], [False, True, False]])
    found = judgement(gains, shown)
    assert found["auc"] == pytest.approx(6 / 8)
    assert found["first_right"] == 0.5
    assert found["by_min_gain"]["0.01"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "faultless": 0.5}


def test_tuning_on_the_test_style_is_refused(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        annotate_tune.main(["--packages", str(packages), "--styles", "noto,openmoji"])
    assert "is for testing" in capsys.readouterr().err


def test_scenes_are_measured_by_every_rule(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny model of random weights: whatever the figures, each rule has one."""
    from tests.tiny_models import tiny_pocket

    model = str(tiny_pocket(tmp_path / "tiny"))
    out = tmp_path / "figures" / "annotate.json"
    arguments = [
        "--packages",
        str(packages),
        "--style",
        "style-a",
        "--classes",
        "dog,bird",
        "--model",
        model,
        "--scenes",
        "3",
        "--judge",
        "2",
    ]
    annotate_measure.main([*arguments, "--size", "64", "--device", "cpu", "--out", str(out)])
    figures = json.loads(out.read_text())
    assert set(figures["rules"]) == {*ablation_sets.RULES, "refine"} - {ablation_sets.ADAPTIVE}
    for row in figures["rules"].values():
        assert 0 <= row["miou"] <= 1 and set(row["iou"]) == {"dog", "bird"}
    assert 0 <= figures["classes_judged"]["auc"] <= 1


def test_what_became_of_classes_is_counted_with_the_absent_one_and_without() -> None:
    count = absent_classes.Count(("dog", "bird", "car"))
    truth = np.array([[1, 1, 2, 0]], np.uint8)
    count.add(np.array([[1, 1, 2, 0]], np.uint8), truth, [1, 2], None)
    count.add(np.array([[1, 1, 0, 0]], np.uint8), truth, [1, 2], 3)
    count.add(np.array([[1, 3, 2, 0]], np.uint8), truth, [1, 2], 3)
    assert count.figures() == {
        "absent_left_out": 1 / 2, "shown_lost": 1 / 4, "shown_lost_alone": 0.0,
        "miou": pytest.approx((3 / 4 + 1 / 2 + 0) / 3), "miou_alone": pytest.approx((1 + 1 + 0) / 3),
    }  # fmt: skip


def test_a_class_that_is_not_shown_is_named_at_every_limit(packages: Path, tmp_path: Path) -> None:
    from tests.tiny_models import tiny_pocket

    out = tmp_path / "figures" / "absent.json"
    model = str(tiny_pocket(tmp_path / "tiny"))
    arguments = ["--packages", str(packages), "--style", "style-a", "--model", model, "--scenes", "2", "--size", "64"]
    absent_classes.main([*arguments, "--device", "cpu", "--out", str(out)])
    rows = json.loads(out.read_text())["by_min_claim"]
    assert list(rows) == [str(claim) for claim in absent_classes.CLAIMS]
    assert all(0 <= value <= 1 for row in rows.values() for value in row.values())


def test_the_ablation_table_divides_by_the_last_row() -> None:
    rows = [
        {"labels": "Otsu", "images": None, "mask_iou": 0.4, "void": 0.0, "miou": None},
        {"labels": "raw", "images": 4, "mask_iou": 0.5, "void": 0.1, "miou": 0.3, "spread": 0.01},
        {"labels": "exact", "images": 8, "mask_iou": None, "void": None, "miou": 0.6, "spread": None},
    ]
    lines = ablation.to_markdown({"rows": rows}).splitlines()
    assert lines[2] == "| Otsu | – | 0.400 | 0.000 | – | – |"
    assert lines[3:] == ["| raw | 4 | 0.500 | 0.100 | 0.300 ± 0.010 | 0.50 |", "| exact | 8 | – | – | 0.600 | 1.00 |"]
