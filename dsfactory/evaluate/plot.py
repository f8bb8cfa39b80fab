"""A plot of an evaluation."""

import io
import statistics

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dsfactory.evaluate.results import ARMS, Results

COLOURS = {"synthetic": "#4269d0", "real": "#efb118", "both": "#6cc5b0"}
MAX_CLASSES = 40
"""Classes with bars of their own; the means come first, and the table has them all."""


def draw_plot(results: Results) -> bytes:
    """Bars of the IoU of each class and of the mean, a colour per training set, as a PNG.

    Lines on the bars of the mean show the standard deviation over the repetitions.
    """
    names = [name for name in results.names if name not in results.absent][:MAX_CLASSES]
    figure = Figure(figsize=(max(6.0, 0.7 * len(names) + 2.5), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = np.arange(len(names) + 1)
    for number, arm in enumerate(ARMS):
        ious = results.class_ious(arm)
        mean = statistics.fmean(results.mious(arm))
        values = [100 * mean, *(100 * (ious[name] or 0.0) for name in names)]
        spread = [100 * (results.spread(arm) or np.nan), *[np.nan] * len(names)]
        label = f"{arm}: {100 * mean:.1f}"
        axes.bar(places + 0.27 * (number - 1), values, 0.25, yerr=spread, label=label, color=COLOURS[arm], capsize=3)
    axes.set_xticks(places, ["mean", *names])
    if len(names) > 6:
        axes.tick_params(axis="x", rotation=60)
    axes.set_ylim(0, 100)
    axes.set_ylabel("IoU on real images [%]")
    title = "The same network, trained on"
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(ARMS), title=title, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
