import numpy as np
from PIL import Image

from dsfactory.annotate.job import plan_annotation
from dsfactory.core.config import ClassSpec
from dsfactory.core.run import CONFIG, Run


def test_a_run_that_was_killed_as_it_began_is_taken_up(tmp_path):
    """Between the manifest and the configuration there is a moment in which a process may end."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    with Run.claim(tmp_path / "out", (ClassSpec(name="dog"),), 0):
        pass
    assert not (tmp_path / "out" / CONFIG).exists()
    plan = plan_annotation(tmp_path / "in", tmp_path / "out", None, {"classes": ["dog"]}, False)
    assert [picture.name for picture in plan.pictures] == ["a.png"]
