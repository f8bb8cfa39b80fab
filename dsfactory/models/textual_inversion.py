"""Textual inversions: learnt vectors of a new word (Gal et al. 2022, arXiv 2208.01618), given to the text encoders."""

import json
from collections.abc import Sequence
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.adapters import Adapter
from dsfactory.models.folder import read_config
from dsfactory.models.locate import Model
from dsfactory.models.weights import read_header

_ENCODERS = {"sd": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2")}
"""Per family the text encoders that learn a new word."""

_NAMES = {"clip_l": 0, "text_encoders_0": 0, "clip_g": 1, "text_encoders_1": 1}
"""How files name the vectors of the first and of the second text encoder."""


def vectors(adapter: Adapter, model: Model) -> dict[str, str]:
    """Which tensor of a file each text encoder of a model takes. Reads headers only.

    Raises:
        UserError: the model takes no new words or knows this one already, or the file is made for another model.
    """
    encoders = _ENCODERS.get(model.layout.family)
    if encoders is None:
        raise UserError(f"--embedding works for Stable Diffusion 1, 2 and XL only, and {model.name} is neither")
    if {adapter.token, f"{adapter.token}_1"} & _vocabulary(model).keys():
        raise UserError(f"{model.name} has a token {adapter.token!r} already: name another one with --embedding")
    shapes = {name: item["shape"] for name, item in read_header(adapter.path).items()}
    found: dict[str, str] = {}
    for place, encoder in enumerate(encoders):
        width = read_config(model.path / encoder).get("hidden_size")
        fitting = [name for name, shape in shapes.items() if len(shape) in (1, 2) and shape[-1] == width]
        named = [name for name in fitting if _NAMES.get(name) == place]
        name = next(iter(named or [name for name in fitting if name not in _NAMES]), None)
        if name is None:
            held = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:4])
            raise UserError(
                f"{adapter.name} is made for another model than {model.name}, whose {encoder} takes vectors of "
                f"{width} numbers: it holds {held or 'nothing'}"
            )
        found[encoder] = name
    return found


def _vocabulary(model: Model) -> dict[str, int]:
    """The tokens of a model's (first) tokenizer."""
    folder = model.path / "tokenizer"
    if (folder / "vocab.json").is_file():
        return dict(json.loads((folder / "vocab.json").read_bytes()))
    return dict(json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"])


def teach(pipeline: Any, model: Model, adapters: Sequence[Adapter]) -> None:
    """Let the text encoders of a pipeline know new words. A word of several vectors becomes several tokens.

    Raises:
        UserError: see :func:`vectors`; or a word is taught twice.
    """
    from safetensors import safe_open

    for adapter in adapters:
        chosen = vectors(adapter, model)
        with safe_open(adapter.path, "pt") as file:
            for encoder, name in chosen.items():
                tokenizer = getattr(pipeline, encoder.replace("text_encoder", "tokenizer"))
                try:
                    pipeline.load_textual_inversion(
                        file.get_tensor(name),
                        token=adapter.token,
                        text_encoder=getattr(pipeline, encoder),
                        tokenizer=tokenizer,
                    )
                except ValueError as error:
                    raise UserError(f"--embedding {adapter.name}: {str(error).splitlines()[0][:200]}") from error
