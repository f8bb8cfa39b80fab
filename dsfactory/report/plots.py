"""Plots as inline SVG that takes its colours from the page: matplotlib draws, CSS variables paint."""

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsfactory.report.sample import STATES, State
from dsfactory.report.statistics import BINS, Histogram, Statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 4.6
"""Inches of 72 CSS pixels."""
MAX_BARS = 24
"""Classes and sources that a bar plot shows; the page's tables have all."""

_NAMES = ("ink", "muted", "line", "accent", "accent-soft", *(f"state-{state}" for state in STATES))
_COLOURS = {name: f"#0d51{number:02x}" for number, name in enumerate(_NAMES)}
"""Stand-ins that matplotlib draws with; in the SVG each becomes ``var(--name)``."""

_STYLE: Any = {
    "svg.fonttype": "none",  # real text: it takes the page's font, can be found, read aloud and copied
    "text.parse_math": False,
    "font.size": 11,
    "axes.edgecolor": _COLOURS["line"],
    "axes.labelcolor": _COLOURS["muted"],
    "axes.labelsize": 10.5,
    "text.color": _COLOURS["ink"],
    "xtick.color": _COLOURS["line"],
    "ytick.color": _COLOURS["line"],
    "xtick.labelcolor": _COLOURS["muted"],
    "ytick.labelcolor": _COLOURS["muted"],
    "grid.color": _COLOURS["line"],
    "axes.axisbelow": True,
}
_TIP = "tip:"


@dataclass(frozen=True)
class Plot:
    """One figure of the page.

    Attributes:
        name: safe in an id.
        title: what is plotted.
        caption: what it says, in a sentence.
        svg: the figure; its style classes are in :attr:`css`.
        css: rules for the classes that the figure uses.
        legend: what became of the samples that the colours stand for; empty with one colour.
    """

    name: str
    title: str
    caption: str
    svg: Markup
    css: str
    legend: tuple[State, ...] = ()


def draw_plots(statistics: Statistics) -> list[Plot]:
    """The plots that a run has something to say for, in the page's order."""
    if not statistics.total:
        return []
    plots = [_images_per_class(statistics)]
    decided = [item for item in statistics.classes.values() if item.keep_share is not None]
    if decided:
        keep = [item.keep_share or 0.0 for item in decided]
        worst = min(range(len(decided)), key=keep.__getitem__)
        labels = [item.name for item in decided]
        caption = f"{percent(keep[worst])} of the samples{' of each class' if len(decided) > 1 else ''}."
        if max(keep) > min(keep):
            caption = f"{percent(np.mean(keep).item())} on average, least of {labels[worst]} ({percent(keep[worst])})."
        plots.append(
            _bars("keep", "Keep share", caption, labels, [("kept", "state-kept", keep)], shares=True, limit=1.0)
        )
    if statistics.area.total:
        plots += [_thresholds(statistics.threshold), _agreement(statistics.agreement), _areas(statistics)]
    if not (sources := statistics.sources.most_common()):
        return plots
    caption = f"{percent(sources[0][1] / statistics.total)} of the prompts come from {sources[0][0]}."
    plots.append(
        _bars("sources", "Prompt sources", caption, [name for name, _ in sources],
              [("prompts", "accent", [count for _, count in sources])])
    )  # fmt: skip
    return plots


def _images_per_class(statistics: Statistics) -> Plot:
    items = list(statistics.classes.values())
    used: list[State] = [state for state in STATES if statistics.states[state]]
    series = [(str(state), f"state-{state}", [float(item.states[state]) for item in items]) for state in used]
    few, many = min(item.total for item in items), max(item.total for item in items)
    caption = f"{many} for each class." if few == many else f"From {few} to {many} for a class."
    plot = _bars("classes", "Images per class", caption, [item.name for item in items], series)
    return replace(plot, legend=tuple(used)) if len(used) > 1 else plot


def _thresholds(histogram: Histogram) -> Plot:
    low, high = histogram.quantile(0.0) or 0.0, histogram.quantile(1.0) or 1.0
    caption = f"Chosen for each mask; half lie below {plain(histogram.median)}."
    first, last = max(0.0, np.floor(low * 20 - 0.5) / 20), min(1.0, np.ceil(high * 20 + 0.5) / 20)
    return _histogram("threshold", "Threshold chosen", caption, histogram, 2, (float(first), float(last)), "threshold")


def _agreement(histogram: Histogram) -> Plot:
    caption = (
        f"IoU of each mask with the coarse mask that chose its threshold: {plain(histogram.median)} in the middle, "
        f"{percent(histogram.share_below(0.3))} below 0.3."
    )
    return _histogram("agreement", "Agreement", caption, histogram, 10, (0.0, 1.0), "IoU")


def _areas(statistics: Statistics) -> Plot:
    low, high = statistics.area.quantile(0.1) or 0.0, statistics.area.quantile(0.9) or 0.0
    caption = f"Share of its image that a class covers: 8 in 10 lie between {percent(low)} and {percent(high)}."
    return _histogram("area", "Mask area", caption, statistics.area, 10, (0.0, 1.0), "share of the image")


def _bars(
    name: str,
    title: str,
    caption: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float]]],
    *,
    shares: bool = False,
    limit: float | None = None,
) -> Plot:
    """Horizontal stacked bars, first label on top."""
    shown = list(labels[:MAX_BARS])
    if len(labels) > len(shown):
        caption += f" The first {MAX_BARS} of {len(labels)} are plotted."

    def draw(axes: "Axes") -> None:
        places, left = np.arange(len(shown)), np.zeros(len(shown))
        totals = np.sum([values[:MAX_BARS] for _, _, values in series], axis=0)
        for what, colour, values in series:
            widths = np.array(values[:MAX_BARS], dtype=float)
            bars = axes.barh(places, widths, left=left, height=0.62, color=_COLOURS[colour])
            for label, width, bar in zip(shown, widths, bars, strict=True):
                bar.set_gid(f"{_TIP}{label}, {what}: {percent(width) if shares else f'{width:.0f}'}")
            left += widths
        for place, total in zip(places, totals, strict=True):
            axes.annotate(percent(total) if shares else f"{total:.0f}", (total, place), (5, 0), va="center",
                          textcoords="offset points", color=_COLOURS["muted"], fontsize=10)  # fmt: skip
        axes.set_yticks(places, [label if len(label) <= 18 else f"{label[:17]}…" for label in shown])
        axes.tick_params(axis="y", labelcolor=_COLOURS["ink"])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, (limit or max(totals.max(), 1)) * 1.12)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.axvline(0, color=_COLOURS["line"], linewidth=1)

    return _render(name, title, caption, max(2.0, 0.55 + 0.36 * len(shown)), draw)


def _histogram(
    name: str, title: str, caption: str, histogram: Histogram, join: int, span: tuple[float, float], unit: str
) -> Plot:
    """A histogram with ``join`` bins in one bar, and a line at the median."""
    counts = histogram.counts.reshape(-1, join).sum(axis=1)
    edges = np.linspace(0.0, 1.0, BINS // join + 1)

    def draw(axes: "Axes") -> None:
        bars = axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.86, align="edge", color=_COLOURS["accent"])
        for start, stop, count, bar in zip(edges[:-1], edges[1:], counts, bars, strict=True):
            if not count:
                bar.remove()
            bar.set_gid(f"{_TIP}{start:.2f} to {stop:.2f}: {count}")
        if histogram.median is not None:
            axes.axvline(histogram.median, color=_COLOURS["ink"], linewidth=1.2, dashes=(2.5, 2.5))
        axes.set_xlim(*span)
        axes.set_ylim(0, max(1, counts.max()) * 1.12)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y", linewidth=0.8)
        axes.set_xlabel(unit)

    return _render(name, title, caption, 2.3, draw)


def _render(name: str, title: str, caption: str, height: float, draw: Callable[["Axes"], None]) -> Plot:
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        axes.tick_params(length=0)
        axes.spines[["top", "left", "right"]].set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg, css = _adapt(buffer.getvalue(), f"{title}. {caption}")
    return Plot(name, title, caption, svg, css)


def _adapt(svg: str, label: str) -> tuple[Markup, str]:
    """Make matplotlib's SVG part of the page.

    Its ``style`` attributes become classes, for the page's content security policy allows none; its colours become CSS
    variables, its fonts the page's, its group ids tooltips. Text in it was escaped by matplotlib.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<style type="text/css">.*?</style>', "", svg, flags=re.DOTALL)
    rules: dict[str, str] = {}

    def to_class(found: re.Match[str]) -> str:
        style = found[1]
        for name, colour in _COLOURS.items():
            style = style.replace(colour, f"var(--{name})")
        style = re.sub(r"font-family: [^;]*;? ?", "", style)
        rule = "p" + hashlib.blake2b(style.encode(), digest_size=5).hexdigest()
        rules[rule] = style
        return f'class="{rule}"'

    svg = re.sub(r'(?<= )style="([^"]*)"', to_class, svg)
    svg = re.sub(rf'<g id="{_TIP}([^"]*)">', r"<g><title>\1</title>", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    opening = f'<svg class="plot" role="img" aria-label="{Markup.escape(label)}"'
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    svg = re.sub(r"^<svg[^>]*>", f"{opening} {box[0]}>", svg)
    css = "".join(f".{rule}{{{style}}}" for rule, style in rules.items())
    return Markup(svg.replace("xlink:href", "href")), css


def percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 or share == 0 else f"{share:.1%}"


def plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
