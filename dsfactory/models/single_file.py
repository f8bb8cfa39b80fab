"""Checkpoints in a single safetensors file: turned into a pipeline's folder once, and from there like any other model.

A checkpoint holds weights only. Configuration and tokenizer are those of the model that its keys tell: they come from
this machine when that preset is on it, else a few MB are fetched.
"""

import json
import shutil
from pathlib import Path

from dsfactory.errors import UserError
from dsfactory.models.defaults import ORIGIN
from dsfactory.models.fetch import fetch
from dsfactory.models.folder import file_digest, read_folder
from dsfactory.models.presets import PRESETS
from dsfactory.models.weights import read_header
from dsfactory.storage.atomic import temporary_path

_SMALL = ("model_index.json", "*/config.json", "scheduler/*.json", "tokenizer*/*.json", "tokenizer*/*.txt")
"""What a checkpoint lacks, in the repository of its preset."""

_CONVERT = "convert it with diffusers' from_single_file and save_pretrained, and give the folder"
_INPUT = "model.diffusion_model.input_blocks.0.0.weight"


def base_preset(file: Path, shown: str) -> str:
    """The preset whose configuration a checkpoint needs: ``"sd15"`` or ``"sdxl"``. Reads the file's header only.

    Raises:
        UserError: the file is damaged, or no complete model of these two kinds.
    """
    header = read_header(file)
    starts = {".".join(name.split(".")[:3]) for name in header}
    if any(name.startswith("lora_") or ".lora_" in name for name in header):
        raise UserError(f"{shown} is a LoRA, which changes a model: --model takes a whole one")
    if _INPUT not in header:
        raise UserError(
            f"{shown} is no Stable Diffusion 1 or XL checkpoint, the only single files that are read: {_CONVERT}"
        )
    if header[_INPUT]["shape"][1] != 4:
        raise UserError(f"{shown} is made for inpainting, which draws no images from text: use another model")
    if not any(start.startswith("first_stage_model.") for start in starts):
        raise UserError(f"{shown} has no VAE: use a checkpoint that has one, or {_CONVERT}")
    if "cond_stage_model.transformer.text_model" in starts:
        return "sd15"
    if "v_pred" in header or "cond_stage_model.model.transformer" in starts:  # what it predicts is not in the file
        raise UserError(f"{shown} may be trained for v-prediction, which a single file does not say: {_CONVERT}")
    if {"conditioner.embedders.0", "conditioner.embedders.1"} <= starts:
        return "sdxl"
    raise UserError(f"{shown} has no text encoder that is known: {_CONVERT}")


def converted_folder(file: Path) -> Path:
    """Where the folder made of a checkpoint is, or would be: named by what the file holds."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "dsfactory" / file_digest(file)


def convert(file: Path, shown: str) -> None:
    """Make a pipeline's folder of a checkpoint, in its own number format. Takes as much room as the checkpoint.

    Raises:
        UserError: see :func:`base_preset`; its configuration cannot be fetched; no room.
    """
    preset = PRESETS[base_preset(file, shown)]
    target = converted_folder(file)
    config = _configuration(preset.source, shown)
    import torch
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    from dsfactory.models.loading import quiet

    kinds = {"F16": torch.float16, "BF16": torch.bfloat16}
    own = {"safety_checker": None, "requires_safety_checker": False} if preset.family == "sd" else {}
    unfinished = temporary_path(target)
    try:
        with quiet():
            pipeline = (
                StableDiffusionPipeline if preset.family == "sd" else StableDiffusionXLPipeline
            ).from_single_file(
                str(file.absolute()),
                config=str(config),
                local_files_only=True,
                torch_dtype=kinds.get(read_header(file)[_INPUT]["dtype"], torch.float32),
                feature_extractor=None,
                image_encoder=None,
                **own,
            )
            unfinished.mkdir(parents=True)
            pipeline.save_pretrained(str(unfinished))
        (unfinished / ORIGIN).write_text(json.dumps({"model": preset.source}) + "\n", encoding="utf-8")
        if not target.exists():
            unfinished.rename(target)
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"{shown} cannot be read as a {preset.name} checkpoint: {first}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _configuration(hub_id: str, shown: str) -> Path:
    """The folder of a preset's small files, which are fetched if they are not on this machine."""
    from dsfactory.models.locate import cached_snapshot

    folder = cached_snapshot(hub_id, None)
    weights = (".safetensors", ".index.json")
    if folder is None or any(not name.endswith(weights) for name in read_folder(folder, hub_id).missing):
        try:
            folder = fetch(hub_id, hub_id, patterns=_SMALL)
        except UserError as error:
            raise UserError(f"{shown} needs the configuration and tokenizer of {hub_id} once: {error}") from error
    return folder
