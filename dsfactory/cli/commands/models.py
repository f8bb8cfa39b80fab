"""``dsfactory models``: what can draw, whether it can draw here, and fetching it beforehand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk

if TYPE_CHECKING:
    from dsfactory.models.inspect import ModelReport

models_app = typer.Typer(help="The models that can draw.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A preset, a hub id, the address of a model's page, or a folder.")]
To = Annotated[
    Path | None,
    typer.Option("--to", help="A new folder to fetch it into [default: the hub's cache]", callback=on_disk),
]


@models_app.command("list")
def models_list(as_json: o.Json = False) -> None:
    """The presets: which are on this machine, size, GPU memory, licence, and who has to agree to terms first."""
    import json

    from dsfactory.models.inspect import list_models

    found = list_models()
    if as_json:
        print(json.dumps([item.as_json() for item in found]))
        return
    for item in found:
        place = "ready" if item.ready else f"to download: {item.size_mb} MB" if item.size_mb else "not here"
        terms = f"{item.licence}; gated" if item.gated else item.licence
        print(f"{item.name:<13} {place:<22} {item.gpu_gb:>3} GB GPU  {item.draws} ({terms})")


@models_app.command("check")
def models_check(name: Name, as_json: o.Json = False) -> None:
    """Whether a model can draw here: what is missing, how big it is, GPU memory, licence. Asks no hub.

    Ends with exit code 2 when it is not ready.
    """
    import json

    from dsfactory.models.inspect import check_model

    found = check_model(name)
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        print("\n".join(_in_words(found)))
    if not found.ready:
        raise typer.Exit(2)


@models_app.command("fetch")
def models_fetch(name: Name, to: To = None, as_json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Download what a model needs to draw, beforehand. What is there already is not fetched again."""
    import json
    import sys

    from dsfactory.errors import StopSignal
    from dsfactory.models.download_bar import show_downloads
    from dsfactory.models.inspect import check_model
    from dsfactory.models.locate import fetch_model

    show_downloads(as_json or quiet)
    try:
        model = fetch_model(name, to)
    except StopSignal as error:
        print(f"dsfactory: stopped by {error}: finished files are kept, run the same command again", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    found = check_model(name if to is None else str(to))
    if as_json:
        print(json.dumps(found.as_json()))
    elif not quiet:
        print(f"{model.name} is ready ({found.size_mb} MB): {model.path}")


def _offloads(found: "ModelReport") -> str | None:
    ways = [
        f"{gb} GB with generate.offload={way}" for way, gb in found.offloaded_gb.items() if gb < (found.gpu_gb or 0)
    ]
    return ", ".join(ways) or None


def _here(found: "ModelReport") -> str | None:
    """What fits into the GPU of this machine, if it has one."""
    from dsfactory.models.devices import choose_device, free_gb

    there = free_gb(choose_device("auto"))
    return found.fits(there) if there is not None and found.gpu_gb else None


def _in_words(found: "ModelReport") -> list[str]:
    page = f"https://huggingface.co/{found.source}"
    gated = f"yes: agree to its terms at {page}, then run 'hf auth login'"
    facts = {
        "source": found.source,
        "family": found.family,
        "draws": found.draws,
        "licence": f"{found.licence} {found.licence_url or ''}" if found.licence else "see the model's page",
        "gated": gated if found.gated else "no" if found.gated is not None else "not known here",
        "folder": found.path,
        "commit": found.commit,
        "size": f"{found.size_mb} MB" if found.size_mb else "not known here" if not found.ready else None,
        "memory": f"about {found.gpu_gb} GB on a GPU, for one image of its size" if found.gpu_gb else None,
        "offload": _offloads(found),
        "here": _here(found),
        "missing": ", ".join(found.missing) or None,
        "damaged": found.damaged,
        "refused": f"{', '.join(found.pickled)} (can run code; safetensors only)" if found.pickled else None,
        "next": None if found.ready or found.damaged or found.pickled else f"dsfactory models fetch {found.name}",
    }
    state = "ready to draw" if found.ready else "not complete on this machine"
    return [f"{found.name}: {state}", *(f"  {fact:<8} {value}" for fact, value in facts.items() if value is not None)]
