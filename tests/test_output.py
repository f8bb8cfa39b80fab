"""What commands say when they are done."""

from pathlib import Path

import pytest
import typer

from dsfactory.cli.output import print_job
from dsfactory.jobs.summary import JobSummary
from dsfactory.runner.limits import Stop
from dsfactory.runner.summary import StageSummary


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"samples": 4}, "refine    4 samples (nothing to do, all finished earlier)"),
        ({"samples": 4, "made": 2}, "refine    4 samples (2 made now)"),
        ({"waiting": 4}, "refine    0 samples (none made now)\n          4 samples are not drawn yet"),
        ({"damaged": ["a"]}, "refine    0 samples (none made now)\n          damaged: a"),
        ({"stopped": Stop("it is 06:00"), "waiting": 4}, "refine    0 samples (none made now)\nlabelled"),
    ],
)
def test_what_a_stage_did_and_did_not(capsys, facts, says):
    with pytest.raises(typer.Exit):
        print_job(JobSummary(Path("a"), "tiny", [StageSummary("refine", **facts)], given=True), False, False, [])
    assert says in capsys.readouterr().out
