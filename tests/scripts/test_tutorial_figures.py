"""The tutorial's figures: from results to the page and back."""

import pytest

from scripts.tutorial_figures import BEGIN, END, PAGE, sentence, stated, written

RESULTS = {
    "miou_synthetic": 0.6149, "miou_real": 0.95, "miou_both": 0.96, "real_images": 200, "repeats": 3, "steps": 1000,
    "spread": {"synthetic": 0.021, "real": 0.001, "both": 0.004},
}  # fmt: skip


def test_the_page_can_be_read_back() -> None:
    page = f"before\n{BEGIN}old\n{END}\nafter\n"
    made = written(page, sentence(RESULTS, "Measured on a machine."))
    found = stated(made)
    assert found is not None and (found.miou, found.spread) == (0.61, 0.04)
    assert made.startswith("before\n") and made.endswith(f"{END}\nafter\n") and "old" not in made
    assert "0.95 (± 0.02)" in made and "Measured on a machine." in made
    assert written(made, sentence(RESULTS, "Measured on a machine.")) == made


def test_a_single_training_has_no_spread() -> None:
    with pytest.raises(ValueError, match="--repeats 3"):
        sentence({**RESULTS, "spread": dict.fromkeys(("synthetic", "real", "both"))}, "")


def test_the_tutorial_has_the_place() -> None:
    assert written(PAGE.read_text("utf-8"), "x\n")
    assert stated("nothing") is None
