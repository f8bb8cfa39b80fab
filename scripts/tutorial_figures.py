"""Write into ``docs/tutorial.md`` what the tutorial's segmenter reaches.

    dsfactory evaluate runs/tutorial --real build/real --repeats 3
    python -m scripts.tutorial_figures runs/tutorial/evaluate/results.json

The spread that the page states is two standard deviations over the repetitions, at least 0.02, so that a single
training lies within it nearly always. ``tests/test_tutorial.py`` holds the tutorial to the page.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
BEGIN, END = "<!-- miou: begin -->\n", "<!-- miou: end -->"
LEAST_SPREAD = 0.02
_STATED = re.compile(r"mIoU of \*\*(0\.\d+)\*\* \(± (0\.\d+)\)")


@dataclass(frozen=True)
class Stated:
    """What the page says of the network that learnt from the run.

    Attributes:
        miou: in [0, 1].
        spread: how far a single training may be from it.
    """

    miou: float
    spread: float


def stated(text: str) -> Stated | None:
    """What a page states; None where it states nothing."""
    found = _STATED.search(text)
    return Stated(float(found[1]), float(found[2])) if found else None


def sentence(results: dict[str, Any], machine: str) -> str:
    """The page's paragraph, from ``results.json`` of an evaluation with repetitions.

    Raises:
        ValueError: there was one training of each kind only.
    """
    if results["spread"]["synthetic"] is None:
        raise ValueError("there was one training of each kind: evaluate with --repeats 3")
    means = {arm: results[f"miou_{arm}"] for arm in ("synthetic", "real", "both")}
    spreads = {arm: max(LEAST_SPREAD, 2 * results["spread"][arm]) for arm in means}
    return (
        f"In a run of this page the network that learnt from the run reached an\n"
        f"mIoU of **{means['synthetic']:.2f}** (± {spreads['synthetic']:.2f}), the one that learnt from the "
        f"{results['real_images']} real pictures {means['real']:.2f} (± {spreads['real']:.2f}), from\n"
        f"both {means['both']:.2f} (± {spreads['both']:.2f}): means of {results['repeats']} trainings of "
        f"{results['steps']:,} steps, and two standard deviations, at least {LEAST_SPREAD}. {machine}\n"
    )


def written(page: str, paragraph: str) -> str:
    """The page with the paragraph between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN.strip()} and {END}")
    return before + begin + paragraph + end + after


def main() -> int:
    parser = argparse.ArgumentParser(description="Write what the tutorial's segmenter reaches into docs/tutorial.md.")
    parser.add_argument("results", type=Path, help="results.json of dsfactory evaluate --repeats 3")
    parser.add_argument("--machine", required=True, help="on what it was measured, as a sentence")
    parser.add_argument("--json", type=Path, help="also keep the results here")
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text("utf-8"))
    try:
        PAGE.write_text(written(PAGE.read_text("utf-8"), sentence(results, arguments.machine)), encoding="utf-8")
    except ValueError as error:
        parser.error(str(error))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
