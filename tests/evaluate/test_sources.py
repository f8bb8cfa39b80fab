import numpy as np
import pytest

from dsfactory.core.run import Run
from dsfactory.errors import DamagedShard
from dsfactory.evaluate.sources import Balanced, LabelledShard, TrainingSet, both, stored_images
from scripts.rendered_run import LabelledScene, write_run
from tests.segment.shapes import shape_pair, shape_pairs


@pytest.fixture
def run(tmp_path):
    scenes = [LabelledScene(*shape_pair(seed), ("square", "bar")[seed % 2 : seed % 2 + 1]) for seed in range(5)]
    write_run(tmp_path / "run", ("square", "bar"), scenes, shard_size=2)
    return Run.open(tmp_path / "run")


def shards(run):
    return [LabelledShard(run, spec, "generate", "refine") for spec in run.shards()]


def test_a_runs_samples_are_read_from_its_shards_in_any_order(run):
    found = stored_images(shards(run))
    assert len(found.images) == 5
    for index in (4, 0, 2):
        image, labels = found.images[index]
        expected_image, expected_labels = shape_pair(index)
        assert np.array_equal(image, expected_image) and np.array_equal(labels, expected_labels)


def test_the_digest_is_of_what_is_read(run):
    assert stored_images(shards(run)).digest == stored_images(shards(run)).digest
    assert stored_images(shards(run)).digest != stored_images(shards(run)[:2]).digest
    assert len(stored_images([]).images) == 0


def test_a_flipped_byte_is_noticed_before_training(run):
    path = run.path / "generate" / "00001.tar"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedShard, match="checksum"):
        stored_images(shards(run))


def test_both_sets_are_drawn_equally_often():
    small, large = shape_pairs(2), shape_pairs(7, start=50)
    mixed = Balanced(small, large)
    taken = [mixed[index] for index in range(len(mixed))]
    assert len(taken) == 14
    from_small = [pair for pair in taken if any(pair is known for known in small)]
    assert len(from_small) == 7 and all(any(pair is known for known in taken) for pair in (*small, *large))


def test_the_digest_of_both_tells_either_apart():
    first, second, third = (TrainingSet([], name) for name in "abc")
    assert len({both(first, second).digest, both(second, first).digest, both(first, third).digest}) == 3
