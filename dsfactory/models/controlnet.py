"""A ControlNet (Zhang et al. 2023, arXiv 2302.05543): the network beside a UNet that makes it follow a picture."""

from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.component import component_digest, is_component, locate_component

WEIGHTS = "diffusion_pytorch_model.safetensors"

_PIPELINES = {
    "StableDiffusionPipeline": "StableDiffusionControlNetPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLControlNetPipeline",
}

_ALIKE = ("in_channels", "cross_attention_dim", "block_out_channels")
"""What a ControlNet has in common with the UNet that it is for."""


def locate_controlnet(name: str) -> Path:
    """Its folder, fetched from the hub where it has to be.

    Raises:
        UserError: there is none, or the folder holds none.
    """
    folder = locate_component(name, WEIGHTS)
    if not is_component(folder):
        raise UserError(f"--control-model {name} is no folder of a ControlNet: it has config.json and a .safetensors")
    return folder


def controlnet_digest(folder: Path) -> str:
    """A hash of what it does: 32 hex digits."""
    return component_digest(folder)


def load_controlnet(folder: Path, unet: Any) -> Any:
    """A ControlNet on a UNet's device, in its number format.

    Raises:
        UserError: it is none, is damaged, or is one of another model.
    """
    from diffusers import ControlNetModel
    from safetensors import SafetensorError

    try:
        kind: Any = ControlNetModel
        found = kind.from_pretrained(str(folder), torch_dtype=unet.dtype, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"--control-model {folder} cannot be loaded as a ControlNet: {first}") from error
    for name in _ALIKE:
        own, wanted = (_plain(part.config.get(name)) for part in (found, unet))
        if own != wanted:
            raise UserError(
                f"--control-model {folder} is for another model: its {name} is {own}, here it is {wanted}: "
                "name a ControlNet of this --model"
            )
    return found.to(unet.device).eval()


def with_controlnet(pipeline: Any, controlnet: Any) -> Any:
    """A pipeline of the same networks that is told what to follow by ``image``."""
    import diffusers

    kind = getattr(diffusers, _PIPELINES[type(pipeline).__name__])
    own = {} if "XL" in kind.__name__ else {"requires_safety_checker": False}
    own |= {"add_watermarker": False} if "XL" in kind.__name__ else {}
    following = kind(**pipeline.components, controlnet=controlnet, **own)
    following.set_progress_bar_config(disable=True)
    return following


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
