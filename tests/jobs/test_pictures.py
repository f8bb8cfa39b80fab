import csv

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import CONFIG, Run
from dsfactory.runner.limits import UNLIMITED, Limits
from tests.command import tree
from tests.making import make, planned


def test_a_run_that_was_killed_as_it_began_is_taken_up(tmp_path):
    """Between the manifest and the configuration there is a moment in which a process may end."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    with Run.claim(tmp_path / "out", (ClassSpec(name="dog"),), 0):
        pass
    assert not (tmp_path / "out" / CONFIG).exists()
    plan = planned("annotate", tmp_path / "out", {"classes": ["dog"], "annotate": {"images": str(tmp_path / "in")}})
    assert [(stage.stage, stage.to_make) for stage in plan.stages] == [("annotate", 1)]


@pytest.mark.long
def test_a_stopped_redo_goes_on_without_the_flag_and_trusts_no_old_mask(tiny_model, tmp_path):
    """Which classes a picture is said to show is in no fingerprint."""
    images, classes = tmp_path / "in", tmp_path / "classes.csv"
    images.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
    flags = {"classes": ["dog", "bird"], "shard_size": 1, "generate": {"model": str(tiny_model)},
             "refine": {"min_box": 0},
             "annotate": {"images": str(images), "seeds": 1, "timesteps": [200],
                          "image_classes": str(classes)}}  # fmt: skip

    def say(*said):
        with classes.open("w", newline="") as file:
            csv.writer(file).writerows([("file", "classes"), *((f"{n}.png", one) for n, one in enumerate(said))])

    def annotate(out, redo=False, limits=UNLIMITED):
        return make(("annotate", "refine"), out, flags, redo=redo, limits=limits).exit_code

    say("dog", "dog")
    assert annotate(tmp_path / "a") == 0
    say("bird", "dog")
    assert annotate(tmp_path / "a", redo=True, limits=Limits(max_gb=0)) == 5
    assert annotate(tmp_path / "a") == 0
    assert annotate(tmp_path / "fresh") == 0
    assert tree(tmp_path / "a") == tree(tmp_path / "fresh")
