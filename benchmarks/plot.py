"""One picture of all benchmarks, from their JSON files.

python -m benchmarks.plot --from docs/figures --out docs/benchmarks.png
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

BLUE, GREY = "#2a78b8", "#9a9a9a"


def bars(axes: Axes, title: str, rows: dict[str, float], goal: float | None = None) -> None:
    """Horizontal bars, each with its number; a dashed line at the goal."""
    places = range(len(rows))
    axes.barh(places, list(rows.values()), color=BLUE)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    for place, value in zip(places, rows.values(), strict=True):
        axes.text(value, place, f" {value:.3g}" if value < 1000 else f" {value:,.0f}", va="center")
    axes.set_xlim(0, 1.2 * max([*rows.values(), goal or 0.0]))
    if goal is not None:
        axes.axvline(goal, color=GREY, linestyle="--", label=f"goal {goal:g}")
        axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.08), frameon=False)
    axes.set_title(title)


def beside_bare(axes: Axes, found: dict[str, Any]) -> None:
    rows = {}
    for name, label in (("capture", "capture"), ("capture-512", "capture"), ("chain", "whole chain")):
        if name in found:
            rows[f"{label}, {found[name]['settings']['size']}²"] = found[name]["ratio"]["median"]
    bars(axes, "time ÷ bare diffusers pipeline", rows, goal=1.0)


def kept(axes: Axes, found: dict[str, Any]) -> None:
    arms, settings = found["naive"]["arms"], found["naive"]["settings"]
    names = {"ours": "class maps", "naive": "all attention"}
    rows = {text: arms[name]["kept_bytes"] / 1024 for name, text in names.items()}
    bars(axes, f"kept per image: KB, {settings['size']}², {settings['steps']} steps", rows)
    axes.set_xscale("log")
    axes.set_xlim(1, 30 * max(rows.values()))


def crf(axes: Axes, found: dict[str, Any]) -> None:
    rows = {f"{row['labels']} labels": row["ratio"]["median"] for row in found["crf"]["crf"]}
    bars(axes, f"dense CRF ÷ pydensecrf, {found['crf']['settings']['size']}²", rows, goal=1.0)


def masks(axes: Axes, found: dict[str, Any]) -> None:
    seconds = found["masks"]["seconds_per_scene"]
    names = {"exhaustive": "20 dense CRFs", "whole_stage": "whole mask stage", "quick": "… choice of it"}
    size = found["masks"]["settings"]["size"]
    bars(axes, f"masks: seconds of a core per image, {size}²", {text: seconds[name] for name, text in names.items()})


def workers(axes: Axes, found: dict[str, Any]) -> None:
    speedup = found["workers"]["speedup"]
    names = {"drawing": "first shard to last", "command": "whole command"}
    rows = {text: speedup[name]["median"] for name, text in names.items()}
    bars(axes, "two workers: times as fast as one", rows, goal=1.8)


def export(axes: Axes, found: dict[str, Any]) -> None:
    rows = found["export"]["exports"]
    for format in dict.fromkeys(row["format"] for row in rows):
        own = [row for row in rows if row["format"] == format]
        axes.plot([row["samples"] for row in own], [row["own_mb"] for row in own], "o-", label=format)
    axes.axhline(300, color=GREY, linestyle="--", label="goal 300")
    axes.set_xscale("log")
    axes.set_ylim(0)
    axes.set_xlabel("samples")
    axes.set_title("export: MB beyond the base")
    axes.legend(frameon=False)


def cost(axes: Axes, found: dict[str, Any]) -> None:
    rows = found["cost"]["curves"]["images"]
    counts = [row["images"] for row in rows]
    axes.plot(counts, [row["cpu_seconds_per_image"] for row in rows], "o-", color=BLUE)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_ylim(0)
    axes.set_xlabel("images in the run")
    axes.set_title("bundled model: CPU seconds per image")


def resolution(axes: Axes, found: dict[str, Any]) -> None:
    rows = found["cost"]["curves"]["resolution"]
    axes.plot([row["side"] for row in rows], [row["cpu_seconds_per_image"] for row in rows], "o-", color=BLUE)
    axes.set_ylim(0)
    axes.set_xlabel("side of the image, pixels")
    axes.set_title("bundled model: CPU seconds per image")


PANELS: tuple[tuple[str, Callable[[Axes, dict[str, Any]], None]], ...] = (
    ("capture", beside_bare),
    ("naive", kept),
    ("masks", masks),
    ("crf", crf),
    ("workers", workers),
    ("export", export),
    ("cost", cost),
    ("cost", resolution),
)
"""The file that a panel needs, and who draws it."""


def plot(folder: Path, out: Path) -> list[str]:
    """Draw a panel for every result that is there.

    Returns:
        The names of the results drawn.
    """
    found = {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}
    panels = [(name, draw) for name, draw in PANELS if name in found]
    if not panels:
        raise SystemExit(f"{folder} holds no benchmark's result: run make bench")
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(5.2 * columns, 3.0 * lines), squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (_, draw) in zip(grid.flat, panels, strict=False):
        draw(axes, found)
        axes.spines[["top", "right"]].set_visible(False)
    cpus = sorted({found[name]["machine"]["cpu"] for name, _ in panels})
    figure.suptitle(f"on {', '.join(cpus)}", fontsize=9, color=GREY)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    plt.close(figure)
    return [name for name, _ in panels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--from", dest="folder", type=Path, default=Path("build/bench"), help="where the JSON files are"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench/benchmarks.png"), help="the picture")
    arguments = parser.parse_args()
    names = plot(arguments.folder, arguments.out)
    print(f"{arguments.out}: {', '.join(dict.fromkeys(names))}")


if __name__ == "__main__":
    main()
