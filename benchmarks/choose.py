"""Time and memory of `dsfactory select` once features are cached: the orders of choice on rows like those of a run.

    python -m benchmarks.choose [--samples 10000] [--num 1000]

Rows are drawn at random around 40 middles per class, with 496 features and a label vector, in eight classes.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np

from benchmarks.machine import machine
from dsfactory.embed.duplicates import near_duplicates
from dsfactory.embed.scale import Scale
from dsfactory.stages.select.orders import bisecting_clusters, facility_location, in_turn, turns
from dsfactory.stages.select.vectors import joined

CLASSES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--num", type=int, default=1_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(CLASSES * 40, 496)).astype(np.float32)
    of = rng.integers(0, len(middles), args.samples)
    features = middles[of] + 0.5 * rng.normal(size=(args.samples, 496)).astype(np.float32)
    labels = rng.normal(size=(args.samples, CLASSES + 6)).astype(np.float32)
    hashes = [rng.bytes(32) for _ in range(args.samples)]
    groups = [np.flatnonzero(of // 40 == number) for number in range(CLASSES)]
    vectors = joined(Scale(features)(features), Scale(labels)(labels), 0.3)

    def cover(one: np.ndarray, num: int) -> list[int]:
        return facility_location(one, one, num)

    def per_class(order: Callable[[np.ndarray, int], list[int]]) -> list[int]:
        counts = turns([len(own) for own in groups], args.num)
        chosen = [own[order(vectors[own], count)].tolist() for own, count in zip(groups, counts, strict=True)]
        return in_turn(chosen, args.num)

    work: dict[str, Callable[[], object]] = {
        "near-copies": lambda: near_duplicates(hashes, range(args.samples), 0.1),
        "cover, per class": lambda: per_class(cover),
        "cover, all": lambda: cover(vectors, args.num),
        "cluster, per class": lambda: per_class(bisecting_clusters),
        "cluster, all": lambda: bisecting_clusters(vectors, args.num),
    }
    found = {}
    for name, job in work.items():
        start = time.perf_counter()
        job()
        found[name] = round(time.perf_counter() - start, 2)
        print(f"{name:<20} {found[name]:>7.2f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"samples": args.samples, "num": args.num, "seconds": found, "peak_mb": round(peak), **machine()}))


if __name__ == "__main__":
    main()
