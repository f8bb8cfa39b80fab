"""``dsfactory init`` and ``dsfactory config``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk

config_app = typer.Typer(help="The settings of a run.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The file to write.", callback=on_disk)]
Changed = Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults.")]


def init(flags: dict[str, Any], file: File = Path("run.yaml"), as_json: o.Json = False, quiet: o.Quiet = False) -> None:
    """Write a run.yaml with every setting, its default and what it does, to be edited and given with --config.

    Overwrites nothing.
    """
    import json

    from dsfactory.errors import UserError
    from dsfactory.jobs.describe import commented_yaml
    from dsfactory.jobs.settings import resolve_config
    from dsfactory.storage.disk import disk_errors

    text = commented_yaml(resolve_config(None, None, {"classes": ["dog", "bird"], **flags}))
    with disk_errors(file, "nothing was written"):
        try:
            with open(file, "x", encoding="utf-8") as target:
                target.write(text)
        except FileExistsError:
            raise UserError(f"{file} is there already: name another file, or delete it first") from None
        except FileNotFoundError:
            raise UserError(f"{file} cannot be written: there is no folder {file.parent}") from None
    if as_json:
        print(json.dumps({"file": str(file)}))
    elif not quiet:
        print(f"wrote {file}: edit it, then dsfactory run --config {file}")


@config_app.command("show")
def config_show(run: o.RunPath = None, changed: Changed = False, as_json: o.Json = False) -> None:
    """Print what a run was made with, as YAML that --config takes; the default stands beside what differs from it."""
    import json

    from dsfactory.core.run import newest_run
    from dsfactory.jobs.describe import changed_settings, changed_yaml
    from dsfactory.jobs.settings import run_config

    config = run_config(run if run is not None else newest_run(Path("runs")))
    if as_json:
        found = changed_settings(config) if changed else config.model_dump(mode="json")
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(changed_yaml(config, only_changed=changed), end="")
