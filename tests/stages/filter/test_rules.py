from collections import Counter

import pytest

from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.rules import REASONS, Norms, decide
from tests.stages.filter.scores import score


def standings(scores):
    norms = Norms.of(scores)
    return [norms.standing(item)[0] for item in scores]


def reasons(scores, **settings):
    return [verdict.reason for verdict in decide(scores, FilterConfig(**settings))]


def normal(count, start=0, **changes):
    return [score(number, **changes) for number in range(start, start + count)]


def test_a_sound_run_loses_nothing():
    assert reasons(normal(10)) == [""] * 10


def test_what_falls_off_from_its_class_is_dropped():
    assert reasons([*normal(5), score(5, confident_iou=[0.5])]) == [""] * 5 + ["iou"]


def test_what_is_normal_for_a_hard_class_is_kept():
    hard = normal(5, 10, classes=["bird"], confident_iou=[0.5], evidence=[0.2], quality=0.1)
    assert reasons([*normal(5), *hard]) == [""] * 10
    assert reasons([*normal(5), *hard, score(20, classes=["bird"], confident_iou=[0.2])])[-1] == "iou"


def test_the_worst_class_of_a_sample_counts():
    both = normal(5, classes=["dog", "bird"], area=[0.2, 0.1], iou=[0.9, 0.9], confident_iou=[0.9, 0.9],
                  evidence=[0.9, 0.9])  # fmt: skip
    wrong = score(5, classes=["dog", "bird"], area=[0.2, 0.1], iou=[0.9, 0.1], confident_iou=[0.9, 0.1],
                  evidence=[0.9, 0.9])  # fmt: skip
    assert standings([*both, wrong]) == pytest.approx([1.0] * 5 + [1 / 9])
    assert reasons([*both, wrong])[-1] == "iou"


def test_a_class_that_nobody_finds_has_no_say():
    assert standings([score(0, classes=["dog", "bird"], iou=[None, None], confident_iou=[None, None])]) == [1.0]
    assert standings([score(0, confident_iou=[0.0]), score(1, confident_iou=[0.0])]) == [1.0, 1.0]


@pytest.mark.parametrize(("share", "kept"), [(0.3, 3), (0.5, 5), (1.0, 10), (0.01, 1)])
def test_a_share_keeps_the_best_of_each_class(share, kept):
    scores = [
        score(10 * place + number, classes=[name], confident_iou=[0.5 + 0.04 * number])
        for place, name in enumerate(("dog", "bird")) for number in range(10)
    ]  # fmt: skip
    found = reasons(scores, keep=share)
    assert found[:10] == found[10:] == ["iou"] * (10 - kept) + [""] * kept


def test_a_class_that_is_hardly_learnt_has_no_say():
    """Not by itself, and not about another class of the same image."""
    strange = {"classes": ["bird"], "iou": [0.1], "evidence": [0.9]}
    bird = [
        *normal(5, 10, **strange),
        score(16, **strange | {"confident_iou": [0.01], "evidence": [0.0], "quality": 0.0}),
    ]
    pair = score(17, classes=["dog", "bird"], area=[0.2, 0.1], iou=[0.9, 0.1], confident_iou=[0.95, 0.0],
                 evidence=[0.95, 0.0], quality=0.0)  # fmt: skip
    assert reasons([*normal(5), *bird, pair]) == [""] * 12
    assert reasons([*normal(5), *bird, pair, score(18, confident_iou=[0.2])])[-1] == "iou"


def test_the_score_that_decided_is_said():
    scores = [*normal(5), score(5, confident_iou=[0.3]), score(6, area=[0.001]), score(7, hash=score(0).hash)]
    verdicts = decide(scores, FilterConfig())
    assert verdicts[5].decided == "confident IoU of dog 0.30, limit 0.57"
    assert verdicts[6].decided == "dog covers 0.1%, at least 1.0% is asked for"
    assert verdicts[7].decided == f"it repeats {scores[0].key}"
    assert verdicts[0].decided == ""
    assert decide(scores, FilterConfig(keep=0.5))[5].decided.startswith("rank 0.")


def test_where_nothing_is_contradicted_the_plain_iou_decides():
    scores = [score(number, confident_iou=[1.0], iou=[0.1 * number]) for number in range(4)]
    assert reasons(scores, keep=0.5) == ["iou", "iou", "", ""]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"area": [0.005]}, "area"),
        ({"labelled": 0.95}, "area"),
        ({"evidence": [0.1]}, "unseen"),
        ({"similarity": [0.05]}, "unseen"),
        ({"quality": 0.2}, "quality"),
    ],
)
def test_every_limit_has_its_reason(changes, reason):
    assert reasons([*normal(5), score(5, **changes)]) == [""] * 5 + [reason]
    assert reason in REASONS


def test_of_two_alike_the_better_stays():
    twin = score(0).hash
    scores = [score(0), *normal(4, 2), score(1, hash=twin, confident_iou=[0.99])]
    verdicts = decide(scores, FilterConfig())
    assert [verdict.reason for verdict in verdicts] == ["duplicate"] + [""] * 5
    assert verdicts[0].duplicate_of == scores[-1].key


def test_a_sample_that_goes_anyway_takes_no_twin_with_it():
    twin = score(0).hash
    scores = [*normal(5), score(5, hash=twin, confident_iou=[0.1])]
    assert Counter(reasons(scores)) == {"": 5, "iou": 1}


def test_ranks_run_from_worst_to_best_within_the_class():
    scores = [score(number, confident_iou=[0.9 - 0.01 * number]) for number in range(4)]
    assert [verdict.rank for verdict in decide(scores, FilterConfig())] == [1.0, 0.75, 0.5, 0.25]


def test_the_order_of_the_samples_changes_no_verdict():
    scores = [score(number, confident_iou=[0.3 + 0.07 * (number * 7 % 10)]) for number in range(10)]
    straight = decide(scores, FilterConfig())
    assert decide(scores[::-1], FilterConfig()) == straight[::-1]


def test_what_is_normal_for_a_domain_is_kept_where_it_has_enough_samples():
    night = normal(10, 10, domain="night", confident_iou=[0.5], evidence=[0.2], quality=0.1)
    day = normal(30, 50, domain="plain")
    assert reasons([*day, *night]) == [""] * 40
    few = normal(5, 10, domain="night", confident_iou=[0.5], evidence=[0.2], quality=0.1)
    assert set(reasons([*day, *few])[-5:]) == {"unseen"}
    assert reasons([*day, *night, score(90, domain="night", confident_iou=[0.2], evidence=[0.2])])[-1] == "iou"
