import numpy as np
import pytest

from dsfactory.core.png import encode_index_png, encode_rgb_png
from dsfactory.core.sample import VOID
from dsfactory.stages.splice.scene import Scene, decode_scene, empty_scene, fill, finish, place, resize
from tests.stages.splice.runs import shapes


def centroid(pixels):
    return np.array([axis.mean() + 0.5 for axis in np.nonzero(pixels)])


def test_files_become_a_scene_and_void_belongs_to_no_object():
    scene = shapes(0, 2)
    instances = np.where(scene.mask == VOID, VOID, scene.instances).astype(np.uint8)
    files = encode_rgb_png(scene.image), encode_index_png(scene.mask), encode_index_png(instances)
    decoded = decode_scene(*files)
    for name in ("image", "mask", "instances"):
        assert np.array_equal(getattr(decoded, name), getattr(scene, name))


@pytest.mark.parametrize("side", [16, 23, 40, 100])
def test_labels_stay_where_the_image_shows_them(side):
    scene = shapes(1, 1, 64, void=False)
    small = resize(scene, side, side)
    assert small.image.shape == (side, side, 3)
    # Colours decide: red is the object's.
    seen = small.image[:, :, 0].astype(int) - small.image[:, :, 1] > 95
    assert np.mean(seen != (small.mask == 1)) < 0.03
    assert np.array_equal(small.mask == 1, small.instances == 1)
    assert np.allclose(centroid(small.mask == 1) / side, centroid(scene.mask == 1) / 64, atol=0.3 / min(side, 64))
    assert set(np.unique(small.mask)) <= {0, 1}


def test_filling_a_frame_crops_and_never_distorts():
    scene = shapes(2, 1, 64, void=False)
    filled = fill(scene, 64, 32)
    assert np.array_equal(filled.image, scene.image[:, 16:48])
    assert fill(scene, 10, 30).mask.shape == (10, 30)


def test_objects_of_two_scenes_stay_apart():
    canvas = empty_scene(64, 128)
    for left in (0, 64):
        place(canvas, shapes(left, 1, 64, objects=2), 0, left)
    assert len(np.unique(canvas.instances)) == 5
    for number in range(1, 5):
        columns = np.nonzero(canvas.instances == number)[1]
        assert columns.max() < 64 or columns.min() >= 64


def test_finish_numbers_objects_and_voids_specks():
    scene = empty_scene(20, 20)
    for number, (top, side) in {3: (0, 5), 900: (6, 2), 40: (10, 6)}.items():
        scene.instances[top : top + side, :side] = number
        scene.mask[top : top + side, :side] = 2
    mask, instances = finish(scene, min_area=16)
    assert set(np.unique(instances)) == {0, 1, 2, VOID}
    assert np.all(instances[:5, :5] == 1)
    assert np.all(instances[10:16, :6] == 2)
    assert np.all(mask[6:8, :2] == VOID)
    assert np.array_equal(mask == VOID, instances == VOID)
    assert np.array_equal(mask == 0, instances == 0)


def test_more_objects_than_eight_bits_hold_leave_the_smallest_void():
    scene = empty_scene(60, 60)
    for number in range(300):
        top, left = divmod(number, 20)
        area = 9 if number >= 60 else 8  # the first 60 are smaller
        cell = np.zeros(12, bool)
        cell[:area] = True
        block = np.s_[4 * top : 4 * top + 4, 3 * left : 3 * left + 3]
        scene.instances[block] = np.where(cell.reshape(4, 3), number + 1, 0)
        scene.mask[block] = cell.reshape(4, 3)
    mask, instances = finish(scene, min_area=1)
    assert set(np.unique(instances)) == set(range(256))
    assert np.count_nonzero(mask == VOID) == 46 * 8
    assert np.count_nonzero(mask == 1) == 14 * 8 + 240 * 9


def test_image_without_objects():
    empty = empty_scene(8, 8)
    mask, instances = finish(Scene(empty.image, np.full((8, 8), VOID, np.uint8), empty.instances), 1)
    assert np.all(mask == VOID)
    assert np.all(instances == VOID)
