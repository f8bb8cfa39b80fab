"""A network written as its publisher writes it comes back as the same network, and can be trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForSemanticSegmentation, MobileNetV2ForSemanticSegmentation

from dsfactory.segment.config import SegmentConfig
from dsfactory.segment.network import build_segmenter
from scripts.deeplab_checkpoint import convert, layer_names, main, read_weights


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A package with random weights in TensorFlow.js' layout, in two parts."""
    shapes: dict[str, tuple[int, ...]] = {"logits/semantic/weights": (1, 1, 256, 21), "logits/semantic/biases": (21,)}
    template = MobileNetV2ForSemanticSegmentation.config_class(image_size=513, output_stride=8, num_labels=21)
    network = MobileNetV2ForSemanticSegmentation(template)
    for ours, theirs in layer_names().items():
        width, depth, height, side = network.get_submodule(ours).convolution.weight.shape
        shapes[f"{theirs}/BatchNorm/FusedBatchNorm/Offset"] = (width,)
        if theirs.endswith("/depthwise"):
            shapes[f"{theirs}/depthwise_weights"] = (height, side, width, depth)
            shapes[f"{theirs}/BatchNorm/FusedBatchNorm/Scaled"] = (width,)
        else:
            shapes[f"{theirs}/Conv2D/merged_input"] = (height, side, depth, width)
    rng = np.random.default_rng(0)
    weights = {}
    for name, shape in shapes.items():
        size = 1 if len(shape) == 1 else (2 / max(1, np.prod(shape[:-1]))) ** 0.5
        weights[name] = (rng.standard_normal(shape) * 0.5 * size).astype(np.float32)
        if name.endswith("Scaled"):
            weights[name] = np.abs(weights[name]) + 0.5
    folder = tmp_path_factory.mktemp("package")
    (folder / "model").mkdir()
    data = b"".join(array.tobytes() for array in weights.values())
    (folder / "model" / "a.bin").write_bytes(data[:1000])
    (folder / "model" / "b.bin").write_bytes(data[1000:])
    entries = [{"name": name, "shape": array.shape, "dtype": "float32"} for name, array in weights.items()]
    manifest = [{"paths": ["a.bin", "b.bin"], "weights": entries}]
    (folder / "model" / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    return folder, weights


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def test_first_layer_computes_what_the_published_weights_say(published: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, weights = published
    network = convert(read_weights(folder))
    pixels = torch.rand(1, 3, 9, 9)
    layer = network.mobilenet_v2.conv_stem.first_conv
    kernel = torch.tensor(weights["MobilenetV2/Conv/Conv2D/merged_input"]).permute(3, 2, 0, 1)
    plain = torch.nn.functional.conv2d(torch.nn.functional.pad(pixels, (1, 1, 1, 1)), kernel, stride=2)
    offset = torch.tensor(weights["MobilenetV2/Conv/BatchNorm/FusedBatchNorm/Offset"])
    expected = (plain + offset[:, None, None]).clamp(0, 6)
    torch.testing.assert_close(layer(pixels), expected, rtol=1e-4, atol=1e-5)


def test_the_checkpoint_says_the_same_and_is_normalised(
    published: tuple[Path, dict[str, np.ndarray]], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = published
    main(["--package", str(folder), "--images", str(pictures), "--out", str(tmp_path / "out")])
    assert "21 classes" in capsys.readouterr().out
    stored = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "out").eval()
    plain = convert(read_weights(folder))
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before, after = plain(pixels).logits, stored(pixels).logits
    torch.testing.assert_close(after, before, rtol=1e-2, atol=1e-2 * before.abs().max().item())
    norm, was = (net.mobilenet_v2.layer[3].conv_3x3.normalization for net in (stored, plain))
    assert was.running_mean.abs().max() == 0 and norm.running_mean.abs().max() > 0
    model = build_segmenter(3, SegmentConfig(checkpoint=str(tmp_path / "out"), side=64), 0)
    assert model.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert model(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape[:2] == (2, 3)


def test_bad_input_is_one_line(published: tuple[Path, dict[str, np.ndarray]], pictures: Path, tmp_path: Path) -> None:
    folder, _ = published
    (tmp_path / "empty").mkdir()
    for package, images in ((tmp_path, pictures), (folder, tmp_path / "empty")):
        with pytest.raises(SystemExit) as stopped:
            main(["--package", str(package), "--images", str(images), "--out", str(tmp_path / "out")])
        assert stopped.value.code == 2
    assert not (tmp_path / "out").exists()
