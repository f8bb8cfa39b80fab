"""What commands print when they are done."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from dsfactory.core.words import counted
from dsfactory.storage.disk import NOTHING_KEPT

if TYPE_CHECKING:
    from dsfactory.formats.exporter import ExportSummary
    from dsfactory.jobs.evaluate import Evaluation
    from dsfactory.jobs.plan import Plan
    from dsfactory.jobs.sets import SetsFound
    from dsfactory.jobs.summary import JobSummary
    from dsfactory.verify import Findings


MAX_NAMED = 5
"""Files that a line names."""


def printable(text: str) -> str:
    """Text that may hold anything as one line that does nothing to a terminal."""
    return "".join(character if character.isprintable() else "�" for character in " ".join(text.split()))


def print_job(summary: "JobSummary", as_json: bool, quiet: bool, following: Sequence[tuple[str, str]]) -> NoReturn:
    """Say what a job did and end the command with the job's exit code.

    Args:
        following: commands that a person may give next, and what each is for.
    """
    if as_json:
        print(json.dumps(summary.as_json()))
    elif quiet:
        _print_what_matters(summary)
    else:
        _print_words(summary, following)
    raise typer.Exit(summary.exit_code)


def _print_words(summary: "JobSummary", following: Sequence[tuple[str, str]]) -> None:
    for line in summary.lines:
        print(line)
    for stage in summary.stages:
        left = stage.stopped or stage.waiting or stage.damaged
        nothing = "none made now" if left else "nothing to do, all finished earlier"
        made = f"{stage.made} made now" if stage.made else nothing
        print(f"{stage.stage:<9} {counted(stage.samples, 'sample')} ({made}){counts(stage.as_json())}")
        if stage.waiting and not stage.stopped:  # what to do about a stop is said at the end
            waiting = f"{counted(stage.waiting, 'sample')} {'is' if stage.waiting == 1 else 'are'} not drawn yet"
            print(f"          {waiting}: run 'dsfactory generate' to the end first")
        for line in stage.damaged:
            print(f"          damaged: {line}")
    maker = f"{'labelled' if summary.given else 'drawn'} by {summary.model} in " if summary.model else "in "
    print(f"{maker}{summary.run}")
    if summary.model == "pocket":
        verb = "knows" if summary.given else "draws"
        print(f"pocket {verb} stickers, for trying things out: --model sd15 {verb} photographs")
    if summary.stopped:
        print_stop(summary)
    elif summary.exit_code == 0:
        wide = max((len(command) for command, _ in following), default=0)
        for place, (command, why) in enumerate(following):
            print(f"{'     ' if place else 'next:'} dsfactory {command:<{wide}}  {why}".rstrip())


def print_stop(summary: "JobSummary") -> None:
    """Say on standard error which limit was reached and how to go on."""
    stopped = summary.stopped
    assert stopped is not None
    print(f"dsfactory: stopped, {stopped.reason}: {go_on(summary.kept, sys.argv)}", file=sys.stderr)


def go_on(kept: str, arguments: list[str]) -> str:
    """What is left after a stop, and what to do; the second time, ``--redo`` would throw away what was made."""
    if kept == NOTHING_KEPT:
        return f"{kept}, run the same command again"
    return f"{kept}, run the same command again{' without --redo' if '--redo' in arguments else ''} to go on"


def _print_what_matters(summary: "JobSummary") -> None:
    for stage in summary.stages:
        if stage.made and stage.statuses["failed"]:
            print(f"{summary.run}: {stage.stage}{counts(stage.as_json())}", file=sys.stderr)
    if summary.stopped and summary.stopped.needs_room:
        print_stop(summary)


def counts(stage: dict[str, Any]) -> str:
    """``", 3 rejected (3 × no mask for dog)"``, or nothing when all samples are fine."""
    others = {name: count for name, count in stage["statuses"].items() if name != "ok"}
    text = "".join(f", {count} {name}" for name, count in sorted(others.items()))
    reasons = sorted(stage["reasons"].items(), key=lambda item: (-item[1], item[0]))[:3]
    return text + (f" ({'; '.join(f'{count} × {reason}' for reason, count in reasons)})" if reasons else "")


def describe_export(item: "ExportSummary") -> str:
    """One line about an export, and one about each kind of thing that is not as expected."""
    made = "" if item.made else " (nothing to do, it was there)"
    images = " and ".join(f"{count} {split}" for split, count in item.images.items())
    objects = counted(sum(item.instances.values()), "object")
    last = "image" if [*item.images.values()][-1:] == [1] else "images"
    line = f"{item.format:<10} {images} {last} with {objects} in {item.out}{made}"
    for split, share, change in (("val", item.val_share, "larger"), ("train", 1 - item.val_share, "smaller")):
        if share and not item.images[split]:
            line += (
                f"\n           the {split} split is empty: a sample's key decides its side, and these are few for "
                f"--val-share {item.val_share:g}; try a {change} one"
            )
    if item.refused_fixes:
        keys = ", ".join(item.refused_fixes)
        line += f"\n           left out, since their images were generated again: the corrections of {keys}"
    if item.renamed:
        told = ", ".join(f"{file} is {name}" for file, name in list(item.renamed.items())[:MAX_NAMED])
        more = f", {len(item.renamed) - MAX_NAMED} more in files.csv" if len(item.renamed) > MAX_NAMED else ""
        line += f"\n           pictures of one name are told apart: {told}{more}"
    if item.gone:
        more = f" and {len(item.gone) - 1} more" if len(item.gone) > 1 else ""
        line += f"\n           the run's own copies were taken of what is gone or has changed: {item.gone[0]}{more}"
    line += "".join(f"\n           {note}" for note in item.notes)
    return printable_lines(line)


def printable_lines(text: str) -> str:
    """Text that may hold anything, its lines kept, as what does nothing to a terminal."""
    lines = text.split("\n")
    return "\n".join("".join(c if c.isprintable() else "�" for c in line) for line in lines)


def print_plan(plan: "Plan", as_json: bool) -> NoReturn:
    """Say what a command would do, and end it."""
    if as_json:
        print(json.dumps(plan.as_json()))
    else:
        print("\n".join(plan.in_words()))
    raise typer.Exit


def print_findings(found: "Findings", as_json: bool) -> None:
    """Print what an examination found, and end the command with exit code 0, or 3 when something is broken."""
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
        raise typer.Exit(found.exit_code)
    for line in found.repaired:
        print(f"made again: {line}")
    for fault in found.faults:
        print(fault)
    if found.faults:
        print(f"{found.path}: {counted(len(found.faults), 'fault')}{f'; {found.advice}' if found.advice else ''}")
        raise typer.Exit(found.exit_code)
    checked = ", ".join(counted(count, what.removesuffix("s")) for what, count in found.checked.items())
    print(f"{found.path}: all is well ({checked})")
    for line in found.notes:
        print(f"  {line}")


def print_sets(found: "SetsFound", as_json: bool, quiet: bool) -> None:
    """What ``evaluate --sets`` found."""
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    elif not quiet:
        counts = found.counts
        print(f"{counts['synthetic']} synthetic and {counts['real']} real images, parts of {counts['compared']}")
        print(found.to_markdown().rstrip())
        for note in found.notes:
            print(note)
        print(f"in {found.out}: sets.json, sets.md, unlike.png")


def print_evaluation(found: "Evaluation", as_json: bool, quiet: bool) -> None:
    """Print the IoU of each class by what the network was trained on, in percent, and the ratio."""
    summary = found.results.as_json()
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    if quiet:
        return
    print(found.results.to_text())
    ratio = summary["ratio"]
    if ratio is not None:
        print(f"synthetic ÷ real {ratio:.3f}, on {summary['val_images']} real images")
    made = f"{found.trained} trainings made now" if found.trained else "nothing to do, all trainings were there"
    print(f"results.json, table.md, table.csv and plot.png in {found.out} ({made})")
