"""The stages, in the order of the pipeline: one line each."""

from typing import TYPE_CHECKING, Any

from dsfactory.core.registry import Entry, Facts, Registry

_HERE = "dsfactory.stages"


def _own(name: str, kind: str, facts: Facts = Facts()) -> Entry:  # noqa: B008 -- frozen
    """The entry of ``dsfactory/stages/NAME``."""
    place = f"{_HERE}.{name}"
    return Entry(name, f"{place}.stage:{kind}Stage", f"{place}.config:{kind}Config", facts=facts)


STAGES = Registry(
    _own("prompts", "Prompts", Facts(begins=True, inline=True)),
    _own("generate", "Generate", Facts(begins=True, serving=("prompts",))),
    _own("annotate", "Annotate", Facts(begins=True, then=("refine", "export"), given=True)),
    _own("defects", "Defects", Facts(begins=True, then=("export",))),
    _own("adopt", "Adopt", Facts(begins=True, given=True)),
    _own("refine", "Refine"),
    _own("filter", "Filter"),
    _own("select", "Select"),
    _own("splice", "Splice"),
)
"""Other packages add theirs through the entry point ``dsfactory.stages``."""

if TYPE_CHECKING:
    from dsfactory.core.config import RunSettings

    class RunConfig(RunSettings):
        """What ``run.yaml`` may say; ``config.yaml`` in a run is this, resolved. A section per stage."""


def __getattr__(name: str) -> Any:
    """``RunConfig``, made when it is asked for: help needs no settings of all stages."""
    if name != "RunConfig":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = STAGES.settings(name, module=__name__)
    return globals()[name]
