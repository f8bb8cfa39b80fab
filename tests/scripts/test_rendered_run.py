"""A run of images whose masks are known is a sound run, and holds what it was made of."""

import numpy as np

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, MASK, VOID
from dsfactory.runner.progress import Silent
from dsfactory.verify.run import verify_run
from scripts.rendered_run import LabelledScene, write_run
from tests.stages.filter.scenes import CLASSES, draw_scene


def both_classes() -> LabelledScene:
    """An image with both classes, and some pixels that are ignored."""
    mask = np.zeros((40, 40), np.uint8)
    mask[4:16, 4:16], mask[20:36, 20:36], mask[20:36, 36] = 1, 2, VOID
    return LabelledScene(np.zeros((40, 40, 3), np.uint8), mask, ("disc", "square"))


def test_a_rendered_run_is_a_sound_run_and_reads_back(tmp_path):
    scenes = [draw_scene(number) for number in range(5)] + [both_classes()]
    write_run(tmp_path / "a", CLASSES, scenes, shard_size=4)
    assert verify_run(tmp_path / "a", Silent()).faults == []
    run = Run.open(tmp_path / "a")
    pairs = [
        pair
        for spec in run.finished("refine")
        for pair in zip(run.reader("generate", spec).records(), run.reader("refine", spec).records(), strict=True)
    ]
    for scene, (image, labels) in zip(scenes, pairs, strict=True):
        assert tuple(labels.row["classes"]) == scene.classes and labels.row["status"] == "ok"
        assert (decode_rgb_png(image.files[IMAGE]) == scene.image).all()
        assert (decode_index_png(labels.files[MASK]) == scene.mask).all()
