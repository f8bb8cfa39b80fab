"""A real network on a toy world: it learns, and a killed training ends as an uninterrupted one."""

import numpy as np
import pytest
import torch

from dsfactory.segment import train
from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.metrics import confusion, mean_iou
from dsfactory.segment.network import build_segmenter
from dsfactory.segment.predict import predict, predict_labels
from dsfactory.segment.train import train_segmenter
from tests.segment.shapes import shape_pair, shape_pairs

TINY = SegmentConfig(steps=4, batch_size=4, side=32)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def trained(data=None, config=TINY, seed=0, **options):
    model = build_segmenter(3, config, seed)
    train_segmenter(model, data or shape_pairs(6), config, seed, **options)
    return model


@pytest.fixture(scope="module")
def uninterrupted():
    """Weights of the plain training."""
    return weights(trained())


@pytest.mark.long
def test_it_learns_the_shapes():
    model = trained(shape_pairs(16), SegmentConfig(steps=60, batch_size=8, side=32, learning_rate=0.005))
    test = shape_pairs(10, start=1000)
    found = predict_labels(model, [image for image, _ in test], 32)
    counts = sum(confusion(labels, given, 3) for (_, labels), given in zip(test, found, strict=True))
    assert mean_iou(counts) > 0.6


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(uninterrupted):
    assert same(uninterrupted, weights(trained()))
    assert not same(uninterrupted, weights(trained(seed=1)))


def test_drawing_random_numbers_elsewhere_changes_nothing(uninterrupted):
    again = trained(report=lambda done, total: torch.manual_seed(done))
    assert same(uninterrupted, weights(again))


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch, at, uninterrupted):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0.0)
    path = tmp_path / "checkpoint.safetensors"

    def kill(done, total):
        if done == at:
            raise Killed

    with pytest.raises(Killed):
        trained(checkpoint=path, report=kill)
    steps = []
    model = trained(checkpoint=path, report=lambda done, total: steps.append(done))
    assert steps == list(range(at, 5))
    assert same(uninterrupted, weights(model))


def test_a_finished_training_is_read_and_not_made_again(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    first = trained(checkpoint=path)
    steps = []
    again = trained(checkpoint=path, report=lambda done, total: steps.append(done))
    assert steps == [4]
    assert same(weights(first), weights(again))
    assert not again.training


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"data": shape_pairs(5)}, {"config": SegmentConfig(**{**TINY.model_dump(), "steps": 3})}]
)
def test_another_trainings_checkpoint_is_not_used(tmp_path, change):
    path = tmp_path / "checkpoint.safetensors"
    trained(checkpoint=path)
    assert same(weights(trained(**change)), weights(trained(**change, checkpoint=path)))


@pytest.mark.parametrize("damage", [b"", b"\x08\0\0\0\0\0\0\0{broken}", None])
def test_a_damaged_checkpoint_begins_anew(tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    first = trained(checkpoint=path)
    path.write_bytes(path.read_bytes()[:-1000] if damage is None else damage)
    assert same(weights(first), weights(trained(checkpoint=path)))


def test_void_is_not_learnt():
    """Labels under void could be anything: an all-void image among the data leaves the weights finite."""
    image, labels = shape_pair(0)
    model = trained([(image, np.full_like(labels, 255))])
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_every_image_is_seen_once_before_any_is_seen_again():
    order = train._batches(10, 4, seed=3, skip=0)
    seen = [index for _ in range(5) for index in next(order)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


@pytest.mark.parametrize("skip", [1, 2, 7])
def test_the_order_can_be_entered_anywhere(skip):
    whole, late = train._batches(7, 3, 0, 0), train._batches(7, 3, 0, skip)
    for _ in range(skip):
        next(whole)
    assert [next(whole) for _ in range(5)] == [next(late) for _ in range(5)]


def test_more_in_a_batch_than_images_repeats_them():
    assert sorted(next(train._batches(1, 4, 0, 0))) == [0, 0, 0, 0]
    assert sorted(set(next(train._batches(3, 8, 0, 0)))) == [0, 1, 2]


def test_no_data_and_ids_without_a_class_are_refused():
    with pytest.raises(ValueError, match="no images"):
        train_segmenter(build_segmenter(3, TINY, 0), [], TINY, 0)
    image, labels = shape_pair(0)
    with pytest.raises(ValueError, match="label 7"):
        trained([(image, np.full_like(labels, 7))])


def test_probabilities_come_at_each_images_own_size():
    model = trained()
    rng = np.random.default_rng(0)
    sizes = ((32, 32), (32, 32), (50, 33), (20, 90), (7, 5))
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    for image, found in zip(images, predict(model, images, 32), strict=True):
        assert found.dtype == np.float32 and found.shape == (3, *image.shape[:2])
        assert np.allclose(found.sum(axis=0), 1, atol=1e-5)
    for labels, found in zip(predict_labels(model, images, 32), predict(model, images, 32), strict=True):
        assert labels.dtype == np.uint8
        assert np.mean(labels == found.argmax(axis=0)) > 0.999


def test_a_batch_gives_what_single_images_give():
    model = trained()
    images = [image for image, _ in shape_pairs(3)]
    together = list(predict(model, images, 32))
    for image, found in zip(images, together, strict=True):
        assert np.allclose(next(predict(model, [image], 32)), found, atol=1e-5)
