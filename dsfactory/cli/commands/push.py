"""``dsfactory push``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk
from dsfactory.core.words import counted


def push(
    path: Annotated[
        Path,
        typer.Argument(help="A run, whose Parquet export is sent, or an export.", callback=on_disk, metavar="PATH"),
    ],
    to: Annotated[str, typer.Option(help="hf://datasets/OWNER/NAME", metavar="URL")],
    public: Annotated[bool, typer.Option("--public", help="A new repository can be seen by all.")] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Delete files of the repository that the export does not have.")
    ] = False,
    dry_run: o.DryRun = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Send a dataset to the Hugging Face hub: data, card and Croissant; private unless you say otherwise.

    What the hub has already is not sent again: the same command goes on where it was stopped. The token is HF_TOKEN, or
    that of 'hf auth login'.
    """
    from dsfactory.jobs.push import push_job

    done = push_job(path, to, public, redo, dry_run)
    if as_json:
        print(json.dumps(done.as_json()))
    elif not quiet:
        sent = f"{counted(len(done.sent), 'file')} of {done.files}, {sum(done.sent.values()) / 1e6:.1f} MB"
        deleted = f"; {len(done.deleted)} {'would be ' if dry_run else ''}deleted" if done.deleted else ""
        verb = "would be sent" if dry_run else "sent"
        print(f"{done.source} → {to}: {sent} {verb}{deleted}")
