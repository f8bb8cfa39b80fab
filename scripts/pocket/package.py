"""Package the trained pocket model as a diffusers `StableDiffusionPipeline` folder of float16 safetensors.

    python -m scripts.pocket.package --work DIR --out dsfactory/models/pocket

Takes the mean (EMA) weights of `unet.pt`, the coder of `vae.pt` and the tokenizer of the work folder. The model card
(README.md) in the out folder is left as it is.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

from scripts.pocket.text import build_text_encoder
from scripts.pocket.train_unet import NOISE_SCHEDULE, TEXT_LAYERS, TEXT_WIDTH, build_unet
from scripts.pocket.train_vae import build_vae
from scripts.pocket.training import MeanWeights, load_checkpoint

SIZE_LIMIT = 40 * 2**20


def build_scheduler(name: str) -> DDIMScheduler | DPMSolverMultistepScheduler:
    """The sampler by name (`ddim` or `dpm`). Its steps trail: the first is the pure noise of zero terminal SNR."""
    if name == "ddim":
        return DDIMScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing", steps_offset=1, clip_sample=False)
    return DPMSolverMultistepScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing", steps_offset=1)


def assemble(work: Path, scheduler: str = "ddim") -> StableDiffusionPipeline:
    """The pipeline of the work folder's newest checkpoints, float32, on the CPU.

    Raises:
        FileNotFoundError: a checkpoint is missing.
    """
    cpu = torch.device("cpu")
    state = load_checkpoint(work / "unet.pt", cpu)
    coder = load_checkpoint(work / "vae.pt", cpu)
    if state is None or coder is None:
        raise FileNotFoundError(f"{work} needs unet.pt and vae.pt: run train_vae.py and train_unet.py first")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    unet, text_encoder = build_unet(), build_text_encoder(tokenizer, TEXT_WIDTH, TEXT_LAYERS)
    unet.load_state_dict(state["unet"])
    text_encoder.load_state_dict(state["text_encoder"])
    mean = MeanWeights({"unet": unet, "text_encoder": text_encoder}, 0.0)
    mean.shadow = state["mean"]
    mean.copy_to_modules()
    vae = build_vae()
    vae.load_state_dict(coder["vae"])
    vae.register_to_config(scaling_factor=state["scale"])
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer,
        unet=unet.eval(),
        scheduler=build_scheduler(scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write_package(pipeline: StableDiffusionPipeline, out: Path) -> int:
    """Write the pipeline as float16 safetensors, replacing the parts that are there; returns its size in bytes."""
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(part, safe_serialization=True)
    pipeline.tokenizer.backend_tokenizer.model.save(str(part / "tokenizer"))  # vocab.json, merges.txt: older readers
    for path in part.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes for its owner alone
    # Stored small, computed in float32: transformers would otherwise take the stored precision for the wanted one.
    _edit_config(part / "text_encoder" / "config.json", lambda config: config | {"dtype": "float32"})
    surplus = "block_out_channels"  # AutoencoderTiny writes it and warns about it when it reads it
    _edit_config(part / "vae" / "config.json", lambda config: {k: v for k, v in config.items() if k != surplus})
    for path in part.rglob("*.json"):  # a pipeline that was read from a folder names it
        if b'"_name_or_path"' in path.read_bytes():
            _edit_config(path, lambda config: {k: v for k, v in config.items() if k != "_name_or_path"})
    size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    if size > SIZE_LIMIT:
        raise ValueError(f"the package would be {size / 2**20:.1f} MiB, more than {SIZE_LIMIT / 2**20:.0f}")
    out.mkdir(parents=True, exist_ok=True)
    for item in sorted(part.iterdir()):
        target = out / item.name
        if target.is_dir():
            shutil.rmtree(target)
        item.replace(target)
    part.rmdir()
    return size


def _edit_config(path: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    config = edit(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scheduler", choices=("ddim", "dpm"), default="ddim")
    args = parser.parse_args(argv)
    size = write_package(assemble(args.work, args.scheduler), args.out)
    print(f"{args.out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
