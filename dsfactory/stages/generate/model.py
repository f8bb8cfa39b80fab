"""The model that settings name, as far as it can be known without fetching it."""

from dsfactory.core.stage import Download
from dsfactory.models.locate import find_model, resolve_name
from dsfactory.stages.generate.config import GenerateConfig


def missing_model(config: GenerateConfig) -> Download | None:
    """What has to be fetched before the model can be loaded; None when it is on this machine."""
    if find_model(config.model, config.revision) is not None:
        return None
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
