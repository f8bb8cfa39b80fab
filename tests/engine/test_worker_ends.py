"""Workers that end before their time: whatever the moment, the command goes on and its summary is whole."""

import os
import signal

from dsfactory.engine.limits import UNLIMITED
from dsfactory.engine.local import claim_stage
from dsfactory.engine.workers import Crew
from tests.engine.toys import Counting, Numbers


def test_interrupted_by_the_terminal_as_it_starts(run, capfd):
    progress = Counting()
    with Crew(run, [Numbers()], claim_stage(run, Numbers()), progress, UNLIMITED) as crew:
        os.kill(crew._members[0].process.pid, signal.SIGINT)
        crew.supervise()
    assert (crew.summary.made, progress.notes, capfd.readouterr().err) == (22, [], "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
