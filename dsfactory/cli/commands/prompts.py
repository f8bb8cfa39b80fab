"""``dsfactory prompts``: look at what would be asked before anything is drawn."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsfactory.cli import options as o
from dsfactory.cli.lazy import FlagCommand, Group, flagged
from dsfactory.core.words import counted

if TYPE_CHECKING:
    from dsfactory.jobs.preview import Preview


def preview(flags: dict[str, Any], out: o.Out = None, config: o.Config = None, as_json: o.Json = False) -> None:
    """Show exactly what 'generate' would ask for with the same flags, and how many prompts come from where.

    Generates and writes nothing.
    """
    from dsfactory.jobs.preview import preview_prompts

    found = preview_prompts(out, config, flags)
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        _print_preview(found)


class _Prompts(Group):
    def made(self) -> dict[str, FlagCommand]:
        return {"preview": flagged("preview", preview, ("num", "seed", "generate.model", "prompts"))}


prompts_app = typer.Typer(
    cls=_Prompts,
    help="Look into the caption corpus, and at the prompts of a run.",
    no_args_is_help=True,
)


@prompts_app.command("search")
def prompts_search(
    word: Annotated[str, typer.Argument(help="A class name, such as dog.")],
    corpus: Annotated[str | None, typer.Option(help="Captions: coco, parti, or a file [default: coco]")] = None,
    column: Annotated[str | None, typer.Option(help="Column of your corpus that holds the captions.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many captions to show.")] = 20, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Show captions that mention a class."""
    from dsfactory.core.section import parse_section
    from dsfactory.stages.prompts.config import PromptsConfig
    from dsfactory.stages.prompts.search import search

    given = {name: value for name, value in (("corpus", corpus), ("column", column)) if value is not None}
    found = search(word, parse_section(PromptsConfig, given, "prompts"), limit)
    if as_json:
        print(json.dumps([item.__dict__ for item in found], ensure_ascii=False))
        return
    for item in found:
        print(f"{item.source:<24} {item.text}")
    if not found:
        print(f"no caption mentions {word!r}: templates would be used")


def _print_preview(found: "Preview") -> None:
    wide = max(len(row["class_name"]) for row in found.rows)
    for row in found.rows:
        print(f"{row['class_name']:<{wide}}  {row['source']:<24} {row['prompt']}")
    print(f"\n{counted(len(found.rows), 'prompt')}:")
    for name, counts in found.sources.items():
        print(f"  {name:<{wide}}  " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    for name, counts in found.attributes.items():
        print(f"  {name:<{wide}}  " + ", ".join(f"{count} {value}" for value, count in counts.items()))
    print(f"the corpus ({found.corpus}):")
    for item in found.supply:
        usable = sum(item.captions.values())
        dropped = "".join(f", {count} × {reason}" for reason, count in item.dropped.items())
        print(f"  {item.class_name:<{wide}}  {usable} captions can be used{dropped}")
