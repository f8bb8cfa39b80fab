"""What is planted must be wrong, and nothing else."""

import numpy as np

from dsfactory.core.run import Run
from dsfactory.core.sample import VOID
from dsfactory.runner.progress import Silent
from dsfactory.verify.run import verify_run
from scripts.planted_noise import KINDS, SHRUNK_AREA, plant, read_scenes, render_scenes
from scripts.rendered_run import LabelledScene, write_run
from tests.stages.filter.scenes import CLASSES, draw_scene


def both():
    """An image with both classes and some void."""
    scene = draw_scene(0, "disc")
    mask = np.zeros((40, 40), np.uint8)
    mask[4:16, 4:16], mask[20:36, 20:36], mask[20:36, 36] = 1, 2, VOID
    return LabelledScene(np.zeros((40, 40, 3), np.uint8), mask, ("disc", "square")), scene


def iou(left, right, value):
    return np.count_nonzero((left == value) & (right == value)) / np.count_nonzero((left == value) | (right == value))


def test_a_share_is_spoilt_in_every_way_and_the_rest_left_alone():
    scenes = [draw_scene(number) for number in range(30)]
    spoilt, planted = plant(scenes, CLASSES, 0.2, 0)
    assert len(planted) == 6
    assert sorted(planted.values()) == sorted(KINDS * 2)
    assert all(spoilt[number] is scenes[number] for number in range(30) if number not in planted)
    assert plant(scenes, CLASSES, 0.2, 0)[1] == planted


def test_spoilt_masks_are_wrong():
    scenes = [draw_scene(number) for number in range(60)]
    spoilt, planted = plant(scenes, CLASSES, 1.0, 1)
    for number, kind in planted.items():
        before, after = scenes[number], spoilt[number]
        assert (before.image == after.image).all()
        value = CLASSES.index(before.classes[0]) + 1
        if kind == "renamed":
            assert after.classes != before.classes
            assert ((after.mask > 0) == (before.mask > 0)).all() and not (after.mask == value).any()
        else:
            assert after.classes == before.classes
            assert 0 < iou(before.mask, after.mask, value) < (0.6 if kind == "moved" else SHRUNK_AREA + 0.05)


def test_with_no_other_class_two_names_are_swapped():
    scene, _ = both()
    spoilt, planted = plant([scene] * 3, CLASSES, 1.0, 0)
    (number,) = (number for number, kind in planted.items() if kind == "renamed")
    mask = spoilt[number].mask
    assert ((mask == 1) == (scene.mask == 2)).all() and ((mask == VOID) == (scene.mask == VOID)).all()
    assert spoilt[number].classes == scene.classes


def test_one_class_cannot_be_renamed():
    _, planted = plant([draw_scene(number, "disc") for number in range(4)], ("disc",), 1.0, 0)
    assert set(planted.values()) == {"moved", "shrunk"}


def test_a_rendered_run_is_a_sound_run_and_reads_back(tmp_path):
    scenes = [draw_scene(number) for number in range(5)] + [both()[0]]
    write_run(tmp_path / "a", CLASSES, scenes, shard_size=4)
    assert verify_run(tmp_path / "a", Silent()).faults == []
    assert Run.open(tmp_path / "a").total == 6
    classes, found = read_scenes(tmp_path / "a")
    assert classes == CLASSES
    for before, after in zip(scenes, found, strict=True):
        assert before.classes == after.classes
        assert (before.image == after.image).all() and (before.mask == after.mask).all()


def test_scenes_come_from_the_given_packages(packages, monkeypatch):
    monkeypatch.setattr("scripts.planted_noise.TRAIN_STYLES", ("style-a",))
    scenes = render_scenes(packages, ("bird", "dog"), 3, 0, 32)
    assert len(scenes) == 3
    assert all(set(np.unique(scene.mask)) <= {0, 1, 2} and scene.mask.any() for scene in scenes)
