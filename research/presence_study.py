"""Which rule tells best which of the listed classes a picture shows, on rendered scenes.

    python -m research.presence_study --packages build/stickers/node_modules/@iconify-json --scenes 40 \\
        --styles twemoji,fluent-emoji-flat,twemoji~lines,fluent-emoji-flat~lines,twemoji~hues,fluent-emoji-flat~grey \\
        --out docs/figures/presence.json

Each style is one that the model was trained on, as it is or changed into one that it never saw (`~lines`: pale fills
and black outlines; `~hues`: other hues; `~grey`). All rules hear the same passes:

- `gain`: the rule of before. A class counts where its error, blurred, is less than those of all others and of the plain
  prompt, by how much.
- `attention`: the share that a class claims of a thing by attention alone, see presence.py.
- `error`: the same by the error alone, of all classes.
- `both`: the rule of presence.py. `both, no other things`: only the listed classes and the backgrounds compete.

A rule's threshold for a style is the one that is best for the other styles. `half` beside a rule: each scene lists a
random half of the classes, so it may show things that nobody asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.seeds import derive_seed
from dsfactory.stages.annotate import presence
from dsfactory.stages.annotate.annotator import Annotator
from dsfactory.stages.annotate.rivals import backgrounds, other_things
from research.annotate_measure import build_annotator, decided, scenes_parser, write_figures
from scripts.pocket.captions import class_specs
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.stickers import CLASS_ICONS, TEST_STYLES, Sticker, load_stickers

Maps = NDArray[np.float32]
NAMES = tuple(CLASS_ICONS)
GAIN_BLUR = 0.19
"""Of error maps in the rule of before, as a share of their side."""
OUTLINE = 9
"""Pixels of a sticker, for `~lines`."""


def changed(sticker: Sticker, kind: str, rng: np.random.Generator) -> Sticker:
    """A sticker in a style that no model saw: `lines`, `hues` or `grey`."""
    colour, alpha = sticker.image[..., :3], sticker.image[..., 3]
    if kind == "grey":
        colour = np.repeat(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    elif kind == "hues":
        turned = cv2.cvtColor(colour, cv2.COLOR_RGB2HSV)
        turned[..., 0] = (turned[..., 0].astype(int) + int(rng.integers(40, 140))) % 180
        colour = cv2.cvtColor(turned, cv2.COLOR_HSV2RGB)
    else:
        padded = np.pad(sticker.image, ((OUTLINE, OUTLINE), (OUTLINE, OUTLINE), (0, 0)))
        inside = padded[..., 3] > 128
        flat = cv2.medianBlur(np.ascontiguousarray(padded[..., :3]), 5)
        steps = cv2.morphologyEx(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY), cv2.MORPH_GRADIENT, np.ones((5, 5))) > 40
        rim = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((OUTLINE, OUTLINE))) > 0
        ink = ((steps & inside) | rim)[..., None]
        colour = np.where(ink, 15, 0.45 * flat + 0.55 * 255)
        alpha = np.where(inside | rim, 255, 0)
    image = np.dstack([colour, alpha]).astype(np.uint8)
    return replace(sticker, style=f"{sticker.style}~{kind}", image=image)


def stickers_of(packages: Path, style: str) -> list[Sticker]:
    """The stickers of `STYLE` or `STYLE~KIND`."""
    base, _, kind = style.partition("~")
    stickers = load_stickers(packages, (base,))
    rng = np.random.default_rng(3)
    return [changed(sticker, kind, rng) for sticker in stickers for _ in range(3)] if kind else stickers


@dataclass(frozen=True)
class Heard:
    """What the passes over one scene say.

    `attention` per set of words that compete ("all": classes and other things; "alone": classes; "half": those listed)
    [things and backgrounds, h, w], and which things these are; `errors` [1 + things, h, w]: with the plain prompt, and
    with that of each class and of other things that attention holds likely (not a number for the rest).
    """

    attention: dict[str, tuple[Maps, NDArray[np.int64]]]
    errors: Maps
    shown: NDArray[np.bool_]
    listed: NDArray[np.bool_]


def hear(annotator: Annotator, stickers: list[Sticker], count: int, seed: int) -> Iterator[Heard]:
    """All of a style's scenes."""
    classes = class_specs(NAMES)
    things = [*classes, *other_things(classes)]
    plain, states, words = annotator.alone([*things, *backgrounds(classes)])
    around = range(len(things), len(words))
    for number, scene in enumerate(rendered_scenes(stickers, count, seed)):
        noisy = annotator.noisy(scene.image, derive_seed(6, number), presence.TIMESTEPS)
        half = np.sort(np.random.default_rng([9, number]).permutation(len(NAMES))[::2])
        sets = {"all": np.arange(len(things)), "alone": np.arange(len(NAMES)), "half": half}
        attention = {}
        for name, ids in sets.items():
            maps, error = annotator.concepts(noisy, plain, words[[*ids, *around]])
            attention[name] = maps.numpy(), ids
        errors = np.full((1 + len(things), *error.shape), np.nan, np.float32)
        errors[0] = error
        for place in {*range(len(NAMES)), *shortlist(*attention["all"])[0].tolist()}:
            errors[1 + place] = annotator.error(noisy, states[place])
        shown = np.array([name in scene.classes for name in NAMES])
        yield Heard(attention, errors, shown, np.isin(np.arange(len(NAMES)), half))


def shortlist(maps: Maps, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Maps, Maps]:
    """The likeliest things by attention, then the log of the attention to all, and where a thing is."""
    thing = presence.foreground(maps[: len(ids)], maps[len(ids) :])
    named = np.log(maps[: len(ids)] + presence.FLOOR)
    return np.argsort(-presence.claims(named, thing), kind="stable")[: presence.SHORTLIST], named, thing


Rule = Callable[[Heard, NDArray[np.bool_]], Maps]


def gain(heard: Heard, listed: NDArray[np.bool_]) -> Maps:
    errors = heard.errors[: 1 + len(listed)][np.concatenate([[True], listed])]
    sigma = GAIN_BLUR * float(np.sqrt(errors[0].size))
    blurred = np.stack([cv2.GaussianBlur(one, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for one in errors])
    least, second = np.sort(blurred, axis=0)[:2]
    found = np.zeros(len(listed), np.float32)
    margins = [np.mean((second - least) * (blurred.argmin(0) == place)) for place in range(1, len(errors))]
    found[listed] = np.array(margins) / blurred[0].mean()
    return found


def witnesses(heard: Heard, words: str, by_attention: float, by_error: float) -> Maps:
    """The rule of presence.py, its two witnesses weighed, for all classes; see :class:`Heard` for the words."""
    maps, ids = heard.attention[words]
    few, named, thing = shortlist(maps, ids)
    if by_attention == 0:
        few = np.arange(len(NAMES))
    errors = heard.errors[1 + ids[few]] / heard.errors[0].mean()
    found = np.zeros(len(heard.errors) - 1, np.float32)
    found[ids[few]] = presence.claims(by_attention * named[few] - by_error * errors, thing)
    return found[: len(NAMES)]


def both_alone(heard: Heard, listed: NDArray[np.bool_]) -> Maps:
    return witnesses(heard, "alone" if listed.all() else "half", 1, presence.ERROR_WEIGHT)


RULES: dict[str, Rule] = {
    "gain": gain,
    "attention": lambda heard, listed: witnesses(heard, "all", 1, 0),
    "error": lambda heard, listed: witnesses(heard, "all", 0, presence.ERROR_WEIGHT),
    "both, no other things": both_alone,
    "both": lambda heard, listed: witnesses(heard, "all", 1, presence.ERROR_WEIGHT),
}


def study(styles: dict[str, list[Heard]]) -> dict[str, dict[str, dict[str, float]]]:
    """Per rule and style: precision, recall, F1, scenes without a mistake, and the threshold that gave them."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for half in (False, True):
        for name, rule in RULES.items():
            scores, truths = {}, {}
            for style, scenes in styles.items():
                lists = [one.listed if half else np.ones_like(one.listed) for one in scenes]
                scores[style] = np.stack(
                    [rule(one, listed) * listed for one, listed in zip(scenes, lists, strict=True)]
                )
                truths[style] = np.stack([one.shown & listed for one, listed in zip(scenes, lists, strict=True)])
            limits = np.unique(np.quantile(np.concatenate(list(scores.values())), np.linspace(0.5, 0.995, 100)))
            f1 = {style: [decided(scores[style] >= at, truths[style])["f1"] for at in limits] for style in styles}
            rows = table[f"{name}, half" if half else name] = {}
            for style in styles:
                best = int(np.argmax(np.mean([f1[other] for other in styles if other != style], axis=0)))
                rows[style] = decided(scores[style] >= limits[best], truths[style]) | {"limit": float(limits[best])}
    return table


def main(argv: Sequence[str] | None = None) -> None:
    styles = ("twemoji", "fluent-emoji-flat", "twemoji~lines", "fluent-emoji-flat~lines", "twemoji~hues")
    args = scenes_parser(__doc__, styles, scenes=40, seed=411).parse_args(argv)
    annotator = build_annotator(args.model, args.device)
    heard: dict[str, list[Heard]] = {}
    for style in args.style.split(","):
        if style.partition("~")[0] in TEST_STYLES:
            raise SystemExit(f"{style} is for testing: choose rules on styles that the model learnt")
        heard[style] = list(hear(annotator, stickers_of(args.packages, style), args.scenes, args.seed))
    table = study(heard)
    print("| rule | " + " | ".join(heard) + " |\n| --- |" + " --- |" * len(heard))
    for name, rows in table.items():
        cells = (f"{row['f1']:.2f} ({row['precision']:.2f}, {row['recall']:.2f})" for row in rows.values())
        print(f"| {name} | " + " | ".join(cells) + " |")
    if args.out is not None:
        figures: dict[str, Any] = {"model": Path(args.model).name, "scenes": args.scenes, "seed": args.seed}
        write_figures(args.out, figures | {"rules": table})


if __name__ == "__main__":
    main()
