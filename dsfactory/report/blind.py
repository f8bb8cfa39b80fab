"""A page on which a person says which labels are better, without knowing whose they are."""

import base64
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.seeds import derive_seed
from dsfactory.errors import UserError
from dsfactory.jobs.labellings import Labelling
from dsfactory.report.sheet import STYLE, overlay, swatches
from dsfactory.storage.atomic import write_atomic

MARK = "made by dsfactory judge"


def write_pairs(found: list[Labelling], num: int, seed: int, page: Path) -> int:
    """Write the page: pairs of labels of the same image, each in both orders, all shuffled.

    Args:
        found: whose labels, with one list of classes.
        num: images that are shown, at most.
        seed: of the choice and of the order.
        page: the file.

    Returns:
        How many pairs there are to judge.

    Raises:
        UserError: on no image do two of them differ.
    """
    rng = np.random.default_rng(derive_seed(seed, "judge"))
    names = sorted(set.intersection(*({*one.masks} for one in found)))
    if not names:
        raise UserError("no image is in all of them")
    differ = []
    for name in (names[place] for place in rng.permutation(len(names))):
        masks = [one.mask(name) for one in found]
        if len({mask.shape for mask in masks}) == 1:
            pairs = [(i, j) for i, j in combinations(range(len(found)), 2) if not np.array_equal(masks[i], masks[j])]
            differ += [(name, pairs)] if pairs else []
        if len(differ) == num:
            break
    if not differ:
        raise UserError("they do not differ on any image: there is nothing to judge")
    images: dict[str, NDArray[np.uint8]] = {}
    for one in found:
        if missing := [name for name, _ in differ if name not in images]:
            images |= one.pictures(missing)
    shown: list[str] = []
    questions = []
    for name, pairs in differ:
        places = {}
        for place in sorted({side for pair in pairs for side in pair}):
            data = base64.b64encode(overlay(images.get(name), found[place].mask(name))).decode()
            places[place] = len(shown)
            shown.append(f"data:image/webp;base64,{data}")
        for i, j in pairs:
            for left, right in ((i, j), (j, i)):
                questions.append({"image": name, "left": found[left].name, "right": found[right].name,
                                  "l": places[left], "r": places[right]})  # fmt: skip
    order = [questions[place] for place in rng.permutation(len(questions))]
    write_atomic(page, _page(order, shown, found[0].classes or [], seed).encode("utf-8", "replace"))
    return len(order)


def _page(questions: list[dict[str, object]], shown: list[str], classes: list[str], seed: int) -> str:
    title = "Which labels are better?"
    data = [json.dumps(one).replace("<", "\\u003c") for one in (questions, shown)]
    style = (
        f"{STYLE}#pair img{{width:min(46vw,36rem);cursor:pointer;display:inline-block;margin-right:1%}}"
        "button{font:inherit;padding:.3em 1em}"
    )
    script = (Path(__file__).parent / "templates" / "judge.js").read_text("utf-8")
    return (
        f'<!doctype html><html lang="en"><!-- {MARK} --><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{style}</style>'
        f'<body data-id="{derive_seed(seed, data[0])}"><h1>{title}</h1><p>Click, or press ← for the left, → for the '
        "right, ↓ if they are equal; Backspace goes back. Every pair comes twice. "
        f"<b id=n></b>{swatches(classes)}</p>"
        '<div id=pair><img id=l alt="left"><img id=r alt="right"><p id=i></p><button id=e>equal ↓</button></div>'
        "<div id=end hidden><p>Done: save the answers, then: dsfactory judge --answers answers.jsonl</p></div>"
        "<p><button id=s>save answers.jsonl</button></p>"
        f'<script type="application/json" id=q>{data[0]}</script>'
        f'<script type="application/json" id=p>{data[1]}</script><script>{script}</script></html>\n'
    )
