"""What attention capture costs: ``dsfactory``'s sampler beside the bare diffusers pipeline.

A Stable Diffusion 1.5 of full size with random weights draws the same prompts from the same seeds with and
without capture, in pairs (with, without, without, with …) in one process, so that both see the same machine. Runs
of equal work differ by a few percent, so the capture's own time is measured from the inside as well.

    python -m benchmarks.capture                        # 256², 4 steps
    python -m benchmarks.capture --size 512 --affinity --json capture.json
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.machine import describe, machine, summary, write_result
from dsfactory.core.config import ClassSpec
from dsfactory.generate.sampler import Request, Sampler
from dsfactory.models.loading import DTYPES, choose_device
from dsfactory.prompts.vocabulary import find_mentions

PROMPT = "a photo of a dog on the grass"
CLASSES = (ClassSpec(name="dog"),)
GUIDANCE = 7.5


def stable_diffusion_15(dtype: torch.dtype, device: torch.device) -> StableDiffusionPipeline:
    """The architecture of Stable Diffusion 1.5 with random weights, and a tokenizer that reads letters."""
    torch.manual_seed(0)
    tokenizer = letter_tokenizer()
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        hidden_act="quick_gelu",
        eos_token_id=tokenizer.eos_token_id,
    )
    widths = (320, 640, 1280, 1280)
    unet = UNet2DConditionModel(
        sample_size=64, block_out_channels=widths, cross_attention_dim=768, attention_head_dim=8
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(device, dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def letter_tokenizer() -> CLIPTokenizer:
    letters = [chr(code) for code in range(33, 127)]
    vocab = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(vocab)}, merges=[], model_max_length=77)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    device = choose_device(arguments.device)
    pipeline = stable_diffusion_15(DTYPES[arguments.dtype], device)
    requests = [Request(PROMPT, seed, CLASSES) for seed in range(arguments.batch_size)]

    def sampler(timed: bool) -> Sampler:
        return Sampler(
            pipeline,
            width=arguments.size,
            height=arguments.size,
            steps=arguments.steps,
            guidance=GUIDANCE,
            find_mentions=find_mentions,
            batch_size=arguments.batch_size,
            affinity=arguments.affinity,
            timed=timed,
        )

    def bare() -> Any:
        return pipeline(
            [request.prompt for request in requests],
            width=arguments.size,
            height=arguments.size,
            num_inference_steps=arguments.steps,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
            output_type="np",
        ).images

    drawings: Any = list(sampler(timed=False).draw(requests))  # warm-up of both arms
    bare()
    seconds: dict[str, list[float]] = {"capture": [], "bare": []}
    for pair in range(arguments.pairs):
        for arm in ("capture", "bare") if pair % 2 == 0 else ("bare", "capture"):
            start = _now(device)
            if arm == "capture":
                drawings = list(sampler(timed=False).draw(requests))
            else:
                bare()
            seconds[arm].append(_now(device) - start)
    observed = sampler(timed=True)
    start = _now(device)
    list(observed.draw(requests))
    share = observed.capture_seconds / (_now(device) - start)
    ratios = [with_capture / without for with_capture, without in zip(seconds["capture"], seconds["bare"], strict=True)]
    return {
        "machine": machine(torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"),
        "seconds": {arm: summary(values) for arm, values in seconds.items()},
        "ratio": summary(ratios),
        "capture_share": share,
        "evidence_bytes_per_image": len(drawings[0].evidence.to_bytes()),
    }


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def report(result: dict[str, Any]) -> str:
    place, ran = result["machine"], result["settings"]
    lines = [
        f"Stable Diffusion 1.5 size, random weights, {ran['size']}² px, {ran['steps']} steps, "
        f"batch {ran['batch_size']}, {ran['dtype']}, {ran['pairs']} pairs, self-attention "
        f"{'captured too' if ran['affinity'] else 'not captured'}",
        describe(place),
    ]
    for arm, values in result["seconds"].items():
        lines.append(f"{arm:<24}{values['median']:8.2f} s   ({values['min']:.2f} to {values['max']:.2f})")
    ratio = result["ratio"]
    lines += [
        f"{'capture ÷ bare':<24}{ratio['median']:8.3f}     ({ratio['min']:.3f} to {ratio['max']:.3f}), goal ≤ 1.03",
        f"{'own share of the time':<24}{result['capture_share']:8.2%}     goal ≤ {'3' if ran['affinity'] else '1.5'} %",
        f"{'evidence per image':<24}{result['evidence_bytes_per_image'] / 1024:8.1f} KB  goal ≤ 32 KB",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps per image")
    parser.add_argument("--pairs", type=int, default=6, help="how often each arm draws a batch")
    parser.add_argument("--batch-size", type=int, default=1, help="images per batch")
    parser.add_argument("--affinity", action="store_true", help="capture self-attention too")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    diffusers.utils.logging.set_verbosity_error()
    print(report(write_result(arguments, measure(arguments))))


if __name__ == "__main__":
    main()
