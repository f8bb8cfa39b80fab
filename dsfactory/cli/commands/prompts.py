"""``dsfactory prompts``: look at what would be asked before anything is drawn."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dsfactory.cli import options as o

if TYPE_CHECKING:
    from dsfactory.jobs.preview import Preview

prompts_app = typer.Typer(
    help="Look into the caption corpus, and at the prompts of a run.", no_args_is_help=True, rich_markup_mode="markdown"
)


@prompts_app.command("search")
def prompts_search(
    word: Annotated[str, typer.Argument(help="A class name, such as dog.")],
    corpus: o.Corpus = None, column: o.Column = None,
    limit: Annotated[int, typer.Option(min=1, help="How many captions to show.")] = 20, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Show captions that mention a class."""
    from dsfactory.core.config import parse_section
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


@prompts_app.command("preview")
def prompts_preview(
    classes: o.Classes = None, classes_file: o.ClassesFile = None, num: o.Num = None, model: o.Model = None,
    out: o.Out = None, config: o.Config = None, seed: o.Seed = None, corpus: o.Corpus = None, column: o.Column = None,
    objects: o.Objects = None, style: o.Style = None, scene: o.Scene = None, weather: o.Weather = None,
    setting: o.Set = None, as_json: o.Json = False,
) -> None:  # fmt: skip
    """Show exactly what 'generate' would ask for with the same flags, and how many prompts come from where.

    Draws and writes nothing.
    """
    from dsfactory.cli.commands.flags import generate_flags
    from dsfactory.jobs.preview import preview_prompts

    found = preview_prompts(out, config, generate_flags(locals() | {"shard_size": None}))
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        _print_preview(found)


def _print_preview(found: "Preview") -> None:
    wide = max(len(row["class_name"]) for row in found.rows)
    for row in found.rows:
        print(f"{row['class_name']:<{wide}}  {row['source']:<24} {row['prompt']}")
    print(f"\n{len(found.rows)} prompts:")
    for name, counts in found.sources.items():
        print(f"  {name:<{wide}}  " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    for name, counts in found.attributes.items():
        print(f"  {name:<{wide}}  " + ", ".join(f"{count} {value}" for value, count in counts.items()))
    print(f"the corpus ({found.corpus}):")
    for item in found.supply:
        usable = sum(item.captions.values())
        dropped = "".join(f", {count} × {reason}" for reason, count in item.dropped.items())
        print(f"  {item.class_name:<{wide}}  {usable} captions can be used{dropped}")
