"""Every reader of every format, on pictures that are hard to carry; readers that are not installed are skipped."""

import importlib.metadata

import numpy as np
import pytest

from dsfactory.core.png import decode_rgb_png
from dsfactory.dataset.sample import read_labels
from dsfactory.formats import FORMATS
from dsfactory.formats.exporter import export
from scripts.consumer_readers import CONSUMERS, Consumer, Seen
from scripts.consumers import CLASSES, Truth, drawn_samples, overlap, try_consumer

# pycocotools' compiled part and numpy 2 disagree about a keyword; the result is right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def truth():
    samples = list(drawn_samples(10))
    images = {sample.key: decode_rgb_png(sample.image_png) for sample in samples}
    return Truth(CLASSES, images, {sample.key: read_labels(sample, len(CLASSES)) for sample in samples})


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("exports")
    for format in FORMATS:
        export(format, drawn_samples(10), CLASSES, root / format, fingerprint="f", model="drawn", val_share=0.3)
    return root


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda item: f"{item.tool.replace(' ', '-')}-{item.format}")
def test_reader_agrees(consumer, exports, truth):
    verdict = try_consumer(consumer, exports / consumer.format, truth)
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    assert verdict.trouble == ""
    assert verdict.images == 10


def test_every_format_has_a_reader_that_needs_nothing_more_to_be_installed():
    installed = {item.metadata["Name"] for item in importlib.metadata.distributions()}
    tried = {item.format for item in CONSUMERS if not item.package or item.package in installed}
    assert tried >= set(FORMATS) - {"hf", "cvat", "labelstudio", "mvtec", "panoptic"}  # which have tests of their own


@pytest.mark.parametrize("fault", ["an image less", "another class", "shifted masks", "an object less", "dark images"])
def test_a_reader_that_differs_is_found_out(fault, exports, truth):
    consumer = next(item for item in CONSUMERS if (item.tool, item.format) == ("pycocotools", "coco"))

    def read(root) -> Seen:
        seen = consumer.read(root)
        if fault == "an image less":
            seen.images.popitem()
        elif fault == "another class":
            seen.classes = ["dog", "cat", "crème brûlée"]
        elif fault == "shifted masks":
            seen.objects = {
                key: [(name, np.roll(pixels, 1, axis=1)) for name, pixels in found]
                for key, found in seen.objects.items()
            }
        elif fault == "an object less":
            seen.objects["00000000"].pop()
        else:
            seen.images = {key: image // 2 for key, image in seen.images.items()}
        return seen

    assert try_consumer(Consumer("x", "", "coco", read), exports / "coco", truth).trouble


def test_overlap():
    one, other = np.array([True, True, False]), np.array([False, True, True])
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert overlap(one & False, other & False) == 1.0
