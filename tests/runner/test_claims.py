"""A shard belongs to one process at a time, and to none when that process is gone."""

import subprocess
import sys

from dsfactory.runner.claims import Claims

HOLD = """
import sys, time
from pathlib import Path
from dsfactory.runner.claims import Claims
Path(sys.argv[1]).touch()
with Claims(Path(sys.argv[1])) as claims, claims.take(int(sys.argv[2])) as taken:
    print(taken, flush=True)
    time.sleep(60)
"""


def holder(path, index: int) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(index)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.said = process.stdout.readline().strip()
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def test_a_claim_is_one_process_s_until_it_dies(tmp_path):
    path = tmp_path / "claims"
    other = holder(path, 3)
    try:
        assert other.said == "True"
        path.touch()
        with Claims(path) as claims:
            with claims.take(3) as taken:
                assert not taken
            with claims.take(4) as taken:
                assert taken
                late = holder(path, 4)
                assert late.said == "False"
                end(late)
            end(other)
            with claims.take(3) as taken:
                assert taken
    finally:
        end(other)
    assert path.stat().st_size == 0


def test_a_claim_that_is_given_back_can_be_taken(tmp_path):
    path = tmp_path / "claims"
    path.touch()
    with Claims(path) as claims:
        with claims.take(0) as taken:
            assert taken
        other = holder(path, 0)
        end(other)
        assert other.said == "True"
