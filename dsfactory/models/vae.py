"""An autoencoder that takes the place of a model's own."""

from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.component import component_digest, find_component, is_component, locate_component

WEIGHTS = "diffusion_pytorch_model.safetensors"


def find_vae(name: str) -> Path | None:
    """See :func:`dsfactory.models.component.find_component`."""
    return find_component(name, WEIGHTS)


def locate_vae(name: str) -> Path:
    """See :func:`dsfactory.models.component.locate_component`."""
    return locate_component(name, WEIGHTS)


def vae_digest(folder: Path) -> str:
    """A hash of what an autoencoder's folder would draw: 32 hex digits.

    Raises:
        UserError: it holds none.
    """
    if not is_component(folder):
        raise UserError(f"generate.vae={folder} is not an autoencoder's folder: it has config.json and a .safetensors")
    return component_digest(folder)


def load_vae(folder: Path, own: Any) -> Any:
    """An autoencoder of the same class as a pipeline's own, in its number format.

    Raises:
        UserError: it is none, is damaged, or makes other latents.
    """
    from safetensors import SafetensorError

    try:
        vae = type(own).from_pretrained(str(folder), torch_dtype=own.dtype, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise UserError(f"generate.vae={folder} is not a folder of an {type(own).__name__}: {first}") from error
    channels, wanted = (part.config.get("latent_channels", part.config.get("z_dim")) for part in (vae, own))
    if channels != wanted:
        raise UserError(
            f"generate.vae={folder} has {channels} latent channels, the model's own has {wanted}: use one made for "
            "this model"
        )
    return vae
