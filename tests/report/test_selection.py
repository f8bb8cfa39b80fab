"""Which samples a large run shows: the worst, some that were left out, and a fair draw."""

from dsfactory.core.shard import ShardSpec
from dsfactory.report.sample import Sample
from dsfactory.report.selection import Selection


def choose(total, limit, refused=()):
    selection = Selection(limit)
    for number in range(total):
        sample = Sample(
            key=f"{number:08d}", number=number, class_name="dog", classes=("dog",), prompt="a dog", source="template",
            seed=1, status="rejected" if number in refused else "ok", threshold=(0.4,), area=(0.2,),
            agreement=(((number * 37) % total) / total,),
        )  # fmt: skip
        selection.offer(ShardSpec(number // 100, number // 100 * 100, number // 100 * 100 + 100), sample)
    return selection.choose()


def numbers(chosen):
    return [int(key) for keys in chosen.keys.values() for key in keys]


def test_a_small_run_is_shown_whole():
    chosen = choose(30, 30)
    assert numbers(chosen) == list(range(30))
    assert (chosen.worst, chosen.random) == (None, None)


def test_a_large_run_shows_the_worst_and_a_fair_draw():
    refused = set(range(0, 2000, 4))
    chosen = choose(2000, 300, refused)
    found = set(numbers(chosen))
    assert len(found) == len(chosen) == 300 == chosen.worst + chosen.refused + chosen.random
    ranked = sorted((number for number in range(2000) if number not in refused), key=lambda n: (n * 37) % 2000)
    assert set(ranked[:100]) <= found
    assert chosen.refused == 50
    drawn = found - set(ranked[:100])
    assert abs(sum(number < 1000 for number in drawn) - 100) < 45  # 200 tosses of a coin: 6 standard deviations


def test_a_run_that_grows_keeps_most_of_what_is_shown():
    before, after = set(numbers(choose(2000, 300))), set(numbers(choose(2100, 300)))
    assert len(before & after) > 150


def test_shards_and_keys_are_in_order():
    chosen = choose(2000, 300)
    assert numbers(chosen) == sorted(numbers(chosen))
    assert all(key // 100 == spec.index for spec, keys in chosen.keys.items() for key in map(int, keys))
