"""Our capture beside one that stores everything, as attention tools commonly do: time, memory, and the image.

The naive arm replaces every attention processor with one that computes the whole softmax itself, and keeps the
conditional half's cross-attention of every step, head and layer, and self-attention up to 32² positions summed over the
steps, as prompt-to-prompt editing does (Hertz et al. 2022, arXiv 2208.01626). A Stable Diffusion 1.5 of full size with
random weights draws the same image in three arms in turn: bare, ours, naive. Seconds are CPU time on a CPU and wall
time on a GPU.

    python -m benchmarks.naive --size 256 --steps 4
    python -m benchmarks.naive --size 512 --json build/bench/naive.json
"""

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import diffusers
import torch
from torch import Tensor, nn

from benchmarks.capture import CLASSES, GUIDANCE, PROMPT
from benchmarks.machine import describe, machine, make_parser, now, summary, write_result
from benchmarks.models import stable_diffusion_15
from dsfactory.models.devices import DTYPES, choose_device
from dsfactory.stages.generate.sampler import Request, Sampler
from dsfactory.stages.prompts.vocabulary import find_mentions

MAX_SELF_POSITIONS = 32 * 32
ARMS = ("bare", "ours", "naive")


class NaiveStore:
    """What the naive arm keeps: cross-attention of every step, self-attention summed."""

    def __init__(self) -> None:
        self.cross: list[Tensor] = []
        self.sums: dict[int, Tensor] = {}

    @property
    def bytes(self) -> int:
        return sum(kept.nbytes for kept in [*self.cross, *self.sums.values()])


class NaiveProcessor:
    """An attention processor that computes and stores all probabilities."""

    def __init__(self, store: NaiveStore) -> None:
        self._store = store

    def __call__(
        self,
        attention: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        **unused: Any,
    ) -> Tensor:
        layer: Any = attention
        states = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            layer.head_to_batch_dim(project(inputs))
            for project, inputs in ((layer.to_q, hidden_states), (layer.to_k, states), (layer.to_v, states))
        )
        probabilities = layer.get_attention_scores(query, key)
        conditional = probabilities[probabilities.shape[0] // 2 :]
        if encoder_hidden_states is not None:
            self._store.cross.append(conditional.clone())
        elif query.shape[1] <= MAX_SELF_POSITIONS:
            before = self._store.sums.get(id(layer))
            self._store.sums[id(layer)] = conditional.clone() if before is None else before + conditional
        output: Tensor = layer.to_out[0](layer.batch_to_head_dim(probabilities @ value))
        return output


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(arguments.device)
    pipeline = stable_diffusion_15(DTYPES[arguments.dtype], device)
    sampler = Sampler(
        pipeline, width=arguments.size, height=arguments.size, steps=arguments.steps, guidance=GUIDANCE,
        find_mentions=find_mentions, batch_size=1, affinity=True,
    )  # fmt: skip
    standard = pipeline.unet.attn_processors

    def draw() -> Tensor:
        pixels: Tensor = pipeline(
            PROMPT, width=arguments.size, height=arguments.size, num_inference_steps=arguments.steps,
            guidance_scale=GUIDANCE, generator=torch.Generator("cpu").manual_seed(0), output_type="pt",
        ).images  # fmt: skip
        return pixels

    def run(arm: str) -> tuple[float, int, Tensor]:
        """Seconds, bytes kept, and the image."""
        start = now(device)
        if arm == "ours":
            drawing = next(sampler.draw([Request(PROMPT, 0, CLASSES)]))
            assert drawing.image is not None and drawing.evidence is not None
            image = torch.from_numpy(drawing.image)
            return now(device) - start, len(drawing.evidence.to_bytes()), image
        store = NaiveStore()
        if arm == "naive":
            pipeline.unet.set_attn_processor(NaiveProcessor(store))
        pixels = draw()
        taken = now(device) - start
        pipeline.unet.set_attn_processor(dict(standard))
        return taken, store.bytes, pixels[0].float().mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu()

    warm = {arm: run(arm) for arm in ARMS}
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for turn in range(arguments.turns):
        for arm in ARMS if turn % 2 == 0 else ARMS[::-1]:
            seconds[arm].append(run(arm)[0])
    bare = warm["bare"][2].int()
    return {
        "machine": machine(device),
        "arms": {
            arm: {
                "seconds": summary(seconds[arm]),
                "ratio": summary([own / base for own, base in zip(seconds[arm], seconds["bare"], strict=True)]),
                "kept_bytes": warm[arm][1],
                "largest_pixel_difference": int((warm[arm][2].int() - bare).abs().max()),
            }
            for arm in ARMS
        },
    }


def report(result: dict[str, Any]) -> str:
    ran = result["settings"]
    lines = [
        f"Stable Diffusion 1.5 size, random weights, one image of {ran['size']}² px, {ran['steps']} steps, "
        f"{ran['dtype']}",
        describe(result["machine"]),
    ]
    for arm, found in result["arms"].items():
        took, ratio, differs = found["seconds"], found["ratio"], found["largest_pixel_difference"]
        lines.append(
            f"{arm:<6}{took['median']:8.2f} s   ÷ bare {ratio['median']:6.3f} "
            f"({ratio['min']:.3f} to {ratio['max']:.3f})   "
            f"kept {found['kept_bytes'] / 1e6:9.3f} MB   image differs by up to {differs} of 255"
        )
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the image in pixels")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps")
    parser.add_argument("--turns", type=int, default=3, help="how often each arm draws")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
