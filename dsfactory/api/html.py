"""Runs and samples as a notebook shows them."""

import base64
import html
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsfactory.api.run import Run, Sample

SHOWN = 6
"""Samples that a run shows."""
HEIGHT = 128
"""Height of a picture in CSS pixels."""


def sample_html(sample: "Sample") -> str:
    """The image beside its mask in the VOC colours; below them key, prompt and classes."""
    pictures = [sample.image_png] if sample.image_png else []
    if sample.mask is not None:
        from dsfactory.core.png import encode_index_png

        pictures.append(encode_index_png(sample.mask))
    shown = "".join(
        f'<img height="{HEIGHT}" src="data:image/{_kind(data)};base64,{base64.b64encode(data).decode()}"> '
        for data in pictures
    )
    words = [sample.key, sample.row.get("prompt", ""), ", ".join(sample.row.get("classes") or ()), sample.split or ""]
    return f"<div>{shown}<br><small>{html.escape(' · '.join(filter(None, words)))}</small></div>"


def run_html(run: "Run") -> str:
    """How far each stage is, and the first samples."""
    status = run.status()
    rows = [[stage["stage"], f"{stage['samples']} of {stage['of']}"] for stage in status["stages"]]
    title = f"{run.path}: {', '.join(run.classes)}"
    return f"<div><b>{html.escape(title)}</b>{_table(rows)}{_first(run)}</div>"


def _first(run: "Run") -> str:
    from dsfactory.errors import DsfactoryError

    try:
        found = [sample_html(sample) for sample in islice(run.samples(), SHOWN)]
    except DsfactoryError:  # nothing is labelled yet
        return ""
    return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(found)}</div>'


def _table(rows: Sequence[Sequence[Any]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{lines}</table>"


def _kind(data: bytes) -> str:
    return "png" if data.startswith(b"\x89PNG") else "jpeg" if data.startswith(b"\xff\xd8") else "webp"
