"""The page itself: what a run holds, put into the template."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from dsfactory import __version__
from dsfactory.core.png import decode_index_png
from dsfactory.core.sample import IMAGE, MASK
from dsfactory.dataset.corrections import digest
from dsfactory.report.composed import read_sections
from dsfactory.report.evaluation import read_measured
from dsfactory.report.facts import about, class_table, describe_choice, domain_table, notices, score_meanings
from dsfactory.report.pictures import COLOURS, Picture, draw_picture
from dsfactory.report.plots import draw_plots
from dsfactory.report.sample import STATES, Sample
from dsfactory.report.selection import Chosen, Selection
from dsfactory.report.source import Source
from dsfactory.report.statistics import Statistics
from dsfactory.runner.progress import Progress

MARK = "made by dsfactory report"
"""Stands near the top of every page, so that no other file is ever overwritten."""

LAYERS = ("image", "attention", "mask", "void")
"""What a reader switches on and off; the outline of a mask goes with it."""
SHORTCUTS = (
    ("1234", "image, attention, mask, void on or off"),
    ("+-", "masks more or less opaque"),
    ("k", "keep the sample, or take that back"),
    ("r", "reject the sample, or take that back"),
    ("←→↑↓", "from picture to picture"),
    (("Enter",), "open a picture"),
    (("Esc",), "close"),
    ("g", "go to the gallery"),
    ("/", "search"),
    ("x", "clear the filters"),
    ("t", "light or dark"),
)
TRUST = "trust"
"""The score that follows from all others; see :mod:`dsfactory.trust`."""
MAX_REASONS = 50
"""Rows of the table of reasons."""
THREADS = 4

_HERE = Path(__file__).parent / "templates"


def build_page(source: Source, max_samples: int, progress: Progress) -> tuple[str, int, int]:
    """Read a run twice, once for its numbers and once for the pictures to show, and fill the template.

    Args:
        source: the run.
        max_samples: pictures in the gallery.
        progress: who is told of the pictures.

    Returns:
        The page as HTML text, the number of samples in the run, and the number shown. Equal runs give equal pages.
    """
    names = [item.name for item in source.run.manifest.classes]
    statistics = Statistics(names, pictures_given=source.given)
    selection = Selection(max_samples)
    for spec, sample in source.samples():
        statistics.add(sample)
        selection.offer(spec, sample)
    chosen = selection.choose()
    samples = list(_gallery(source, chosen, progress))
    measured = read_measured(source.run.path)
    sections = read_sections(source)
    shown = dict.fromkeys(name for sample in samples for name in (*sample["perClass"], *sample["scores"]))
    meanings = score_meanings(source, shown)
    context = {
        **about(source, statistics, measured),
        "mark": MARK,
        "version": __version__,
        "layers": LAYERS,
        "shortcuts": SHORTCUTS,
        "sampling": describe_choice(chosen, statistics),
        "notices": notices(source, measured, sections),
        "total": statistics.total,
        "class_table": class_table(statistics),
        "domain_table": domain_table(statistics),
        "reasons": [
            {"state": state, "text": text, "count": count}
            for (state, text), count in sorted(statistics.reasons.items(), key=lambda item: (-item[1], item[0]))
        ][:MAX_REASONS],
        "measured": measured,
        "sections": [section for section in sections if section.total],
        "plots": draw_plots(statistics),
        "meanings": meanings,
        "data": {
            "classes": [
                {"name": name, "colour": f"rgb{COLOURS[index % len(COLOURS)]}"}
                for index, name in enumerate(statistics.classes)
            ],
            "states": STATES,
            "scores": _score_ranges(samples),
            "meanings": dict(meanings),
            "samples": samples,
            "sections": {
                section.name: [
                    {"kind": kind, "prompt": kind, "layers": _layers(picture)} for kind, picture in section.pictures
                ]
                for section in sections
            },
        },
    }
    return render(context), statistics.total, len(samples)


def render(context: dict[str, Any]) -> str:
    """Fill the template, and allow by its content security policy exactly the style and script that it has."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    rules = sorted({plot.css for plot in context["plots"]})
    style = "\n".join([(_HERE / "page.css").read_text(encoding="utf-8"), *rules])
    code = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("gallery.js", "viewer.js"))
    script = f'"use strict";\n(() => {{\n{code}}})();'
    policy = (
        f"default-src 'none'; script-src '{_source_hash(script)}'; style-src '{_source_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("page.html.j2")
    return page.render({**context, "style": Markup(style), "script": Markup(script), "policy": Markup(policy)})


def _source_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _gallery(source: Source, chosen: Chosen, progress: Progress) -> Iterator[dict[str, Any]]:
    """The chosen samples as JSON values, in order."""
    progress.begin("report", len(chosen), 0, "images")
    names = {item.name: index for index, item in enumerate(source.run.manifest.classes)}
    with ThreadPoolExecutor(THREADS) as pool:
        for spec, keys in chosen.keys.items():
            rows = {sample.key: sample for sample in source.shard(spec)}
            files = source.files(keys, spec)
            trust = source.trust(spec, files)
            for key, picture in zip(keys, pool.map(draw_picture, [files[key] for key in keys]), strict=True):
                progress.advance()
                if key in rows:
                    yield _as_json(rows[key], names, picture, trust.get(key)) | _by_hand(
                        source, key, files[key], len(names)
                    )


def _by_hand(source: Source, key: str, files: dict[str, bytes], classes: int) -> dict[str, Any]:
    """What a decision about a sample names, and what changes for one that a person has seen to."""
    found: dict[str, Any] = {"image": digest(files[IMAGE]) if IMAGE in files else "", "byHand": ""}
    if said := source.by_hand.get(key):
        entry = source.corrections.entries[key]
        gone = entry.decision == "reject" or not entry.mask_sha256
        labels = [] if gone else [int(label) - 1 for label in np.unique(decode_index_png(files[MASK]))]
        found |= {
            "byHand": said,
            "state": "rejected" if gone else "kept",
            "why": said if gone else "",
            "labels": [label for label in labels if 0 <= label < classes],
        }
    return found


def _as_json(
    sample: Sample, names: dict[str, int], picture: Picture | None, trust: Sequence[float | None] | None
) -> dict[str, Any]:
    per_class: dict[str, list[Any]] = {
        name: [None if value is None else round(value, 4) for value in values]
        for name, values in sample.per_class().items()
    }
    scores = {name: round(value, 4) for name, value in sample.scores().items()}
    if known := [value for value in trust or () if value is not None]:
        per_class, scores = {TRUST: list(trust or ()), **per_class}, {TRUST: min(known), **scores}
    if sample.components is not None:
        per_class["objects"] = list(sample.components)
    return {
        "key": sample.key,
        "number": sample.number,
        "classes": [names[name] for name in sample.classes],
        "labels": [names[name] for name in sample.labelled],
        "present": list(sample.present),
        "state": sample.state,
        "why": sample.why,
        "details": sample.details,
        "prompt": sample.prompt,
        "source": sample.source,
        "wishes": " · ".join(value for value in (sample.style, sample.scene, sample.weather, sample.domain) if value),
        "seed": str(sample.image_seed or sample.seed),  # 63 bits: JavaScript's numbers have 53
        "twin": sample.duplicate_of or "",
        "scores": scores,
        "perClass": per_class,
        "layers": _layers(picture) if picture is not None else None,
    }


def _layers(picture: Picture) -> dict[str, str]:
    layers = ((name, getattr(picture, name)) for name in (*LAYERS, "edge"))
    return {name: base64.b64encode(data).decode() for name, data in layers if data is not None}


def _score_ranges(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scores to sort and filter by, with the range of each; first those that judge a mask."""
    ranges: dict[str, list[float]] = {}
    for sample in sorted(samples, key=lambda one: TRUST not in one["scores"]):
        for name, value in sample["scores"].items():
            low, high = ranges.get(name, (0.0, 1.0))
            ranges[name] = [min(low, value), max(high, value)]
    return [{"name": name, "low": low, "high": high} for name, (low, high) in ranges.items()]
