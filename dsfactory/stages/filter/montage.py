"""A picture of the samples that are dropped, worst first."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dsfactory.core.png import voc_palette
from dsfactory.core.sample import BACKGROUND
from dsfactory.segment.data import Image as Pixels
from dsfactory.segment.data import Labels
from dsfactory.stages.filter.plan import Plan
from dsfactory.stages.filter.rules import Verdict
from dsfactory.stages.filter.samples import stored
from dsfactory.stages.filter.scores import Score

MOST = 48
COLUMNS = 6
SIDE = 128
CAPTION = 28
"""Height of the words under a tile, in pixels."""
OPACITY = 0.55


def draw_dropped(plan: Plan, scores: Sequence[Score], verdicts: Sequence[Verdict]) -> bytes:
    """Dropped samples side by side, each as image and image with its label, under it why it goes.

    Args:
        plan: where the images and masks are.
        scores: of the plan's samples, in its order.
        verdicts: of the same; at least one is not kept.

    Returns:
        A PNG of the ``MOST`` worst by rank within their class.
    """
    dropped = [index for index, verdict in enumerate(verdicts) if not verdict.kept]
    worst = sorted(dropped, key=lambda index: (verdicts[index].rank, index))[:MOST]
    pairs = stored([plan.samples[index] for index in worst])
    columns = min(COLUMNS, len(worst))
    rows = -(-len(worst) // columns)
    tile = (2 * SIDE + 8, SIDE + CAPTION + 8)
    sheet = Image.new("RGB", (columns * tile[0], rows * tile[1]), "white")
    for place, index in enumerate(worst):
        row, column = divmod(place, columns)
        corner = (column * tile[0] + 4, row * tile[1] + 4)
        image, mask = pairs[place]
        sheet.paste(_fitted(image), corner)
        sheet.paste(_fitted(_veiled(image, mask)), (corner[0] + SIDE, corner[1]))
        text = _caption(scores[index], verdicts[index])
        ImageDraw.Draw(sheet).text(
            (corner[0], corner[1] + SIDE + 1), text, fill="black", font=ImageFont.load_default(10), spacing=1
        )
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    return data.getvalue()


def _veiled(image: Pixels, mask: Labels) -> Pixels:
    """The image with its labels in the colours of the VOC palette."""
    colours = np.frombuffer(voc_palette(), dtype=np.uint8).reshape(256, 3)[mask]
    mixed = np.where((mask == BACKGROUND)[..., None], image, (1 - OPACITY) * image + OPACITY * colours)
    return mixed.round().astype(np.uint8)


def _fitted(image: Pixels) -> Image.Image:
    """The image in a square of ``SIDE`` pixels."""
    tile = Image.new("RGB", (SIDE, SIDE), "white")
    factor = SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    picture = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    tile.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    return tile


def _caption(score: Score, verdict: Verdict) -> str:
    return f"{score.key}: {verdict.reason}\n{verdict.decided}"
