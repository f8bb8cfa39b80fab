"""dsfactory: class names in, a labelled segmentation dataset out.

>>> import dsfactory as ds
>>> run = ds.generate(classes=["dog", "bird"], num=2, steps=2, out="runs/example", quiet=True)
>>> run = ds.refine(run, quiet=True)
>>> [sample.key for sample in run.samples(stage="refine")]
['00000000', '00000001', '00000002', '00000003']
>>> next(run.samples(stage="generate")).image.shape
(128, 128, 3)
>>> [name for name in run.table("generate").column_names if "seed" in name]
['seed', 'image_seed']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dsfactory.api import Run, Sample, export, load, open_run
    from dsfactory.errors import DsfactoryError, UserError

__all__ = ["DsfactoryError", "Run", "Sample", "UserError", "__version__", "export", "load", "open_run"]


def __getattr__(name: str) -> Any:
    """What the package offers, loaded when it is asked for; a function for every stage, by its name."""
    if name in ("DsfactoryError", "UserError"):
        return getattr(import_module("dsfactory.errors"), name)
    if name.startswith("_"):
        raise AttributeError(f"module 'dsfactory' has no attribute {name!r}")
    from dsfactory.stages import STAGES

    api = import_module("dsfactory.api")  # "from dsfactory import api" would ask this function first
    if name in __all__:
        return getattr(api, name)
    entry = STAGES.entries.get(name)
    if entry is None or entry.kind.inline:
        raise AttributeError(f"module 'dsfactory' has no attribute {name!r}")
    return api.stage_function(entry)


def __dir__() -> list[str]:
    from dsfactory.stages import STAGES

    return sorted([*__all__, *(name for name, entry in STAGES.entries.items() if not entry.kind.inline)])
