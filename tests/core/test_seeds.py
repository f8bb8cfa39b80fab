import subprocess
import sys

from dsfactory.core.sample import sample_key
from dsfactory.core.seeds import derive_seed


def test_seed_is_the_same_in_another_process_with_another_hash_seed():
    code = "from dsfactory.core.seeds import derive_seed; print(derive_seed(7, 'traffic light', 12))"
    for hash_seed in ("1", "2"):
        env = {"PYTHONHASHSEED": hash_seed}
        out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert int(out.stdout) == derive_seed(7, "traffic light", 12)


def test_seeds_differ_by_every_part():
    seeds = {derive_seed(0, "dog", 1), derive_seed(1, "dog", 1), derive_seed(0, "dog", 2), derive_seed(0, "dog", "1")}
    seeds |= {derive_seed(0, "ab", "c"), derive_seed(0, "a", "bc"), derive_seed(0, "abc")}
    assert len(seeds) == 7
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_keys_sort_as_numbers():
    assert sorted(map(sample_key, (100, 20, 3))) == [sample_key(3), sample_key(20), sample_key(100)]
