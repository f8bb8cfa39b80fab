import cv2
import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.stages.splice.paste import cut, free_place, paste, scaled, whole_objects
from dsfactory.stages.splice.scene import Scene, empty_scene
from tests.stages.splice.runs import COLOURS, shapes
from tests.stages.splice.test_mosaic import agrees


def copy_of(scene):
    return Scene(scene.image.copy(), scene.mask.copy(), scene.instances.copy())


def test_cutout_holds_the_object_and_nothing_else():
    scene = shapes(0, 2, 64, objects=2)
    piece = cut(scene, 2)
    assert piece.class_id == 2
    assert piece.alpha.sum() == np.count_nonzero(scene.instances == 2)
    assert np.all(piece.colour[piece.alpha == 0] == 0)
    assert np.all(piece.colour[piece.alpha == 1] == COLOURS[2])
    assert piece.alpha.any(axis=1).all() and piece.alpha.any(axis=0).all()


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("flip", [False, True])
def test_pasted_pixels_are_the_objects_and_all_others_keep_their_labels(factor, flip):
    background, piece = shapes(1, 1, 96), cut(shapes(2, 3, 96), 1)
    canvas = copy_of(background)
    piece = scaled(piece, factor, flip, canvas.height, canvas.width)
    paste(canvas, piece, *free_place(canvas, piece, np.random.default_rng(0)), feather=0.0)
    assert agrees(canvas.image, canvas.mask, tolerance=100) > 0.99
    pasted = canvas.instances == 2
    assert np.array_equal(pasted, canvas.mask == 3)
    assert np.count_nonzero(pasted) == pytest.approx(factor**2 * np.count_nonzero(shapes(2, 3, 96).mask == 3), rel=0.1)
    for name in ("mask", "instances"):
        assert np.array_equal(getattr(canvas, name)[~pasted], getattr(background, name)[~pasted])


def test_edge_blends_without_a_halo_of_the_old_background():
    scene = shapes(3, 1, 256, void=False)
    bright = np.where((scene.mask == 1)[:, :, None], scene.image, 255).astype(np.uint8)
    canvas = empty_scene(256, 256)
    paste(canvas, cut(Scene(bright, scene.mask, scene.instances), 1), 30, 30, feather=4.0)
    # A dark ground and a red object: white could only come from what surrounded the object.
    assert canvas.image[:, :, 1].max() <= COLOURS[1][1] + 1
    softness = np.unique(canvas.image[:, :, 0])
    assert len(softness) > 20
    assert (canvas.mask == 1).any()


def test_an_edge_beyond_the_frame_is_cut():
    canvas = empty_scene(64, 64)
    square = Scene(np.full((64, 64, 3), 200, np.uint8), np.ones((64, 64), np.uint8), np.ones((64, 64), np.uint16))
    paste(canvas, cut(square, 1), 0, 0, feather=8.0)
    assert np.all(canvas.mask == 1)
    assert canvas.image[32, 32].tolist() == [200, 200, 200]


def test_enclosed_void_comes_along_and_stays_void():
    scene = empty_scene(64, 64)
    cv2.circle(scene.mask, (32, 32), 20, 1, cv2.FILLED)
    scene.instances[scene.mask == 1] = 1
    cv2.circle(scene.mask, (32, 32), 5, VOID, cv2.FILLED)
    scene.instances[scene.mask == VOID] = 0
    canvas = shapes(5, 2, 64, void=False)
    paste(canvas, cut(scene, 1), 10, 10, feather=0.0)
    assert np.count_nonzero(canvas.mask == VOID) == np.count_nonzero(scene.mask == VOID)
    assert np.all(canvas.instances[canvas.mask == VOID] == 0)
    assert np.all(canvas.image[canvas.mask == VOID] == 0)


def test_objects_at_the_border_are_not_whole():
    scene = empty_scene(32, 32)
    for number, (top, side) in enumerate([(0, 5), (10, 6), (25, 7), (18, 2)], start=1):
        scene.instances[top : top + side, 4 : 4 + side] = number
    assert whole_objects(scene, min_area=5) == [2]


def test_too_large_an_object_is_made_to_fit():
    piece = scaled(cut(shapes(0, 1, 96), 1), 10.0, False, 40, 20)
    assert piece.alpha.shape[0] <= 40 and piece.alpha.shape[1] == 20


def test_place_hides_little():
    canvas = empty_scene(100, 100)
    canvas.instances[:, :50] = 1
    piece = scaled(cut(shapes(0, 1, 96), 1), 0.3, False, 100, 100)
    lefts = [free_place(canvas, piece, np.random.default_rng(seed))[1] for seed in range(40)]
    assert np.mean(np.array(lefts) + piece.alpha.shape[1] / 2 > 50) > 0.8
