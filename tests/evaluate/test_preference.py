"""Bradley and Terry: a biased judge still gives the true order, and nothing is claimed that is not certain."""

import numpy as np

from dsfactory.evaluate.preference import Answer, judge_answers, read_answers

TRUE = {"raw 0.4": 0.84, "raw 0.5": 0.80, "Otsu": 0.70, "Dataset Diffusion": 0.60, "refine": 0.95}


def simulated(images: int, bias: float, seed: int) -> list[Answer]:
    """A judge that says left whatever it sees in this share, and else is right the surer, the more labels differ."""
    rng = np.random.default_rng(seed)
    found = []
    for image in range(images):
        quality = {name: value + rng.normal(0, 0.05) for name, value in TRUE.items()}
        for left in TRUE:
            for right in TRUE:
                if left != right:
                    better = rng.random() < 1 / (1 + np.exp((quality[right] - quality[left]) / 0.1))
                    says = "left" if rng.random() < bias or better else "right"
                    found.append(Answer(image=str(image), left=left, right=right, answer=says))
    return found


def test_a_judge_that_likes_the_left_still_gives_the_true_order():
    verdict = judge_answers(simulated(100, 0.3, 0))
    assert [one.name for one in verdict.scores] == sorted(TRUE, key=lambda name: -TRUE[name])
    assert verdict.left is not None and abs(verdict.left - 0.65) < 0.05
    assert verdict.inconsistent is not None and verdict.inconsistent > 0.2
    assert abs(sum(one.points for one in verdict.scores)) < 1
    assert all(one.low <= one.points <= one.high for one in verdict.scores)


def test_few_answers_claim_no_order_and_who_wins_all_has_a_finite_score():
    answers = [Answer(image="a", left="one", right="other", answer="left")] * 2
    verdict = judge_answers(answers)
    assert verdict.scores[0].name == "one" and 0 < verdict.scores[0].points < 400
    equal = judge_answers([Answer(image=str(n), left="one", right="other", answer="equal") for n in range(20)])
    assert equal.clear == (False,) and abs(equal.scores[0].points) < 1


def test_lines_that_are_no_answers_are_named():
    text = '{"image": "a", "left": "x", "right": "y", "answer": "left"}\n\nnonsense\n{"image": "a"}\n'
    found, faults = read_answers(text)
    assert len(found) == 1 and [fault.split(" is ")[0] for fault in faults] == ["line 3", "line 4"]
