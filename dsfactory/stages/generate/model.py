"""The model that settings name, as far as it can be known without fetching it."""

from collections.abc import Sequence

from dsfactory.core.stage import Download
from dsfactory.errors import UserError
from dsfactory.models.adapters import missing_adapter
from dsfactory.models.families import FAMILIES
from dsfactory.models.locate import find_model, resolve_name
from dsfactory.models.memory import choose_offload, gpu_gb, network_billions
from dsfactory.models.vae import find_vae
from dsfactory.stages.generate.config import GenerateConfig


def missing_model(config: GenerateConfig) -> Download | None:
    """What has to be fetched before the model can be loaded, or its autoencoder; None when both are on this machine."""
    if find_model(config.model, config.revision) is not None:
        if config.vae is not None and find_vae(config.vae) is None:
            return Download(config.vae, None)
        lora = missing_adapter(config.lora)
        return Download(lora, None) if lora is not None else None
    preset = resolve_name(config.model).preset
    return Download(config.model, preset.size_mb if preset is not None else None)


def image_size(config: GenerateConfig) -> tuple[int | None, int | None]:
    """Width and height of the images in pixels; None where only the model can tell, and it is not here."""
    model, preset = find_model(config.model, config.revision), resolve_name(config.model).preset
    defaults = model.defaults if model else preset.defaults if preset else None
    return (
        config.width or (defaults.width if defaults else None),
        config.height or (defaults.height if defaults else None),
    )


_SMALL = 1.0
"""Models of fewer billions of parameters fit everywhere: no GPU is asked for them."""


def check_layouts(config: GenerateConfig) -> list[str]:
    """Refuse a model that cannot follow layouts; note one that was hardly tried.

    Raises:
        UserError: its attention has no keys of words alone.
    """
    if config.layouts is None:
        return []
    model, preset = find_model(config.model, config.revision), resolve_name(config.model).preset
    family = model.layout.family if model else preset.family if preset else None
    if family not in (None, "sd", "sdxl"):
        raise UserError(
            f"--layouts is for Stable Diffusion 1, 2 and XL: {config.model} ({family}) is none of them. "
            "Leave --layouts out, or name another --model"
        )
    return ["layouts: strengths were chosen on the pocket model; Stable Diffusion XL follows layouts less well"] * (
        family == "sdxl"
    )


def limits(config: GenerateConfig) -> list[str]:
    """What of a model's attention cannot be read, and what its size means for the GPU at hand, a line each."""
    model, preset = find_model(config.model, config.revision), resolve_name(config.model).preset
    family = model.layout.family if model else preset.family if preset else None
    unreadable = FAMILIES[family].unreadable if family else ""
    lines = [f"{config.model}: {unreadable}"] if unreadable else []
    billions = network_billions(model.path, model.layout.files) if model else preset.billions if preset else ()
    width, height = image_size(config)
    if config.device == "cpu" or config.offload == "none" or sum(billions) < _SMALL or not width or not height:
        return lines
    from dsfactory.models.devices import choose_device, free_gb

    there = free_gb(choose_device(config.device))
    return lines if there is None else [*lines, *memory_line(config.model, billions, width, height, there)]


def memory_line(name: str, billions: Sequence[float], width: int, height: int, there_gb: float) -> list[str]:
    """How a model is made to fit into a GPU, in a line; none where it fits as it is.

    Args:
        name: of the model.
        billions: parameters of its networks.
        width: of the images, in pixels.
        height: of the image, in pixels.
        there_gb: the GPU's free memory.
    """
    way, whole = choose_offload(billions, width, height, there_gb), gpu_gb(billions, width, height)
    if way == "none":
        return []
    needed = gpu_gb(billions, width, height, way)
    fits = f"generate.offload={way} needs about {needed} GB and is slower"
    if needed > there_gb:
        fits = f"even generate.offload={way} needs about {needed} GB: use a smaller --model, --width and --height"
    return [f"{name} needs about {whole} GB on a GPU, {there_gb:.0f} GB are free here: {fits}"]
