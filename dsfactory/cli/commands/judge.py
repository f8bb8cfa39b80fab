"""``dsfactory judge``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsfactory.cli import options as o
from dsfactory.cli.places import on_disk

if TYPE_CHECKING:
    from dsfactory.evaluate.preference import Verdict

MAX_ANSWERS = 64_000_000
"""Bytes of a file of answers."""


def judge(
    labels: Annotated[
        list[str] | None, typer.Argument(help="Two to six, as 'dsfactory compare' takes them.", metavar="A B ...")
    ] = None,
    num: Annotated[int, typer.Option(min=1, max=1000, help="Images that are shown, at most.")] = 100,
    out: Annotated[Path, typer.Option(help="The page to judge on.", callback=on_disk)] = Path("judge.html"),
    answers: Annotated[
        Path | None, typer.Option(help="What the page saved: print the scores.", callback=on_disk)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of images, and of the order.")] = 0,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Which labels are better? Judge blind pairs on a page, then print scores with intervals.

    Writes one page that needs no network: pairs of labels of one image, in an order by the seed, each pair in both
    orders. Left, right or equal by key; the page saves answers.jsonl. With --answers it is fitted by the model of
    Bradley and Terry: 400 points more are ten times the odds. Where intervals overlap, no order is claimed.
    """
    from dsfactory.errors import UserError

    if (answers is None) == (not labels):
        raise UserError("name two or more labels to judge, or --answers FILE with what was said of them")
    if answers is not None:
        _conclude(answers, as_json, quiet)
    from dsfactory.jobs.labellings import read_labellings
    from dsfactory.report.blind import MARK, write_pairs
    from dsfactory.report.job import check_replaceable
    from dsfactory.storage.disk import disk_errors

    if not labels or not 2 <= len(labels) <= 6:
        raise UserError("judge takes two to six: 'dsfactory judge runs/a runs/b'")
    check_replaceable(out, MARK)
    found = read_labellings(labels)
    with disk_errors(out, "nothing was changed"):
        out.parent.mkdir(parents=True, exist_ok=True)
        pairs = write_pairs(found, num, seed, out)
    if as_json:
        print(json.dumps({"page": str(out), "pairs": pairs, "exit_code": 0}))
    elif not quiet:
        print(f"{out}: {pairs} pairs to judge; open it in a browser, then 'dsfactory judge --answers answers.jsonl'")


def _conclude(path: Path, as_json: bool, quiet: bool) -> None:
    """Print what answers say, and end."""
    from dsfactory.core.reading import read_text
    from dsfactory.errors import UserError
    from dsfactory.evaluate.preference import judge_answers, read_answers

    found, faults = read_answers(read_text(path, "list of answers", MAX_ANSWERS))
    for line in faults:
        typer.echo(f"{path}: {line}", err=True)
    if not found:
        raise UserError(f"{path} holds no answer: save it from the page that 'dsfactory judge A B' writes")
    verdict = judge_answers(found)
    code = 3 if faults else 0
    if as_json:
        scores = [one.__dict__ for one in verdict.scores]
        print(json.dumps({**verdict.__dict__, "scores": scores, "unreadable": faults, "exit_code": code}))
    elif not quiet:
        print("\n".join(_said(verdict)))
    raise typer.Exit(code)


def _said(verdict: "Verdict") -> list[str]:
    wide = max(len(one.name) for one in verdict.scores)
    lines = [f"{one.name:<{wide}}  {one.points:>7.0f}  ({one.low:.0f} to {one.high:.0f})" for one in verdict.scores]
    if not all(verdict.clear):
        lines.append("the order is not certain where intervals overlap: judge more images")
    if verdict.inconsistent is not None:
        lines.append(f"{verdict.inconsistent:.0%} of the pairs were decided otherwise when they were swapped")
    if verdict.left is not None:
        lines.append(f"{verdict.left:.0%} of the decided answers were left, of {verdict.answers} answers")
    return lines
