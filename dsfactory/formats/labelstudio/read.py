"""Label Studio's JSON: brush masks and polygons of its tasks."""

import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID
from dsfactory.errors import UserError
from dsfactory.formats.coco.segmentation import WRONG
from dsfactory.formats.labelstudio.brush import decode_brush
from dsfactory.formats.labelstudio.write import VOID_LABEL
from dsfactory.formats.reading.images import check_size
from dsfactory.formats.reading.labels import Expected, FixedLabels, Unread, class_id, stem_of
from dsfactory.formats.reading.source import Files, Source

_SUBPIXEL = 4


def read_labelstudio(source: Source, expected: Expected) -> Iterator[FixedLabels | Unread]:
    """The tasks of an export in the form "JSON", or of what ``dsfactory export --format labelstudio`` wrote.

    A task's last annotation that was not cancelled counts; without one, its first prediction. ``brushlabels`` and
    ``polygonlabels`` are objects, the label ``void`` is void. Later ones cover earlier ones. An image with one that
    cannot be used is not read, and named.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    names = source.find("tasks.json") or source.find("*.json")
    if len(names) != 1:
        raise UserError(f"{source.path} has {len(names)} JSON files where Label Studio writes one")
    try:
        tasks = json.loads(source.read(names[0]))
        if not isinstance(tasks, list):
            raise ValueError("it holds no list of tasks")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source.path}: {names[0]} is not what Label Studio writes ({error})") from error
    images = source.below("images")
    for number, task in enumerate(tasks, start=1):
        yield _read_task(task, number, expected, images)


def _read_task(task: Any, number: int, expected: Expected, images: Files) -> FixedLabels | Unread:
    name = ""
    try:
        name = str(task["data"]["image"]).partition("?d=images/")[2] or str(task["data"]["image"])
        if not stem_of(name):
            raise ValueError("has no name")
        done = [item for item in task.get("annotations") or () if not item.get("was_cancelled")]
        chosen = (done[-1:] or (task.get("predictions") or [{"result": []}])[:1])[0]["result"]
        results = [item for item in chosen if item.get("type") != "choices"]
        shape = next(((item["original_height"], item["original_width"]) for item in results), expected.size(name))
        if shape is None:
            raise ValueError("has no width and height, and is no sample of the run")
        mask, instances = _paint(results, check_size(*(int(length) for length in shape)), expected)
    except WRONG as error:
        reason = str(error) if isinstance(error, ValueError) else f"is no task of Label Studio ({type(error).__name__})"
        return Unread(name or f"task {number}", reason)
    return FixedLabels(name, mask, instances, True, images.of(name))


def _paint(
    results: list[Any], shape: tuple[int, int], expected: Expected
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    mask, instances = np.zeros(shape, dtype=np.uint8), np.zeros(shape, dtype=np.int64)
    for number, item in enumerate(results, start=1):
        kind, value = str(item["type"]), item["value"]
        if kind not in ("brushlabels", "polygonlabels"):
            raise ValueError(f"has an object of the type {kind[:40]}: brush masks and polygons are read")
        label = str(value[kind][0])
        found = VOID if label == VOID_LABEL else class_id(label, expected.classes)
        pixels = decode_brush(value["rle"], *shape) if kind == "brushlabels" else _polygon(value["points"], shape)
        mask[pixels] = found
        instances[pixels] = 0 if found == VOID else number
    return mask, instances


def _polygon(points: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A polygon whose corners are in hundredths of width and height."""
    corners = np.array(points, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not (np.abs(corners) < 1e4).all():
        raise ValueError("has a polygon that is none")
    corners = corners * (shape[1], shape[0]) / 100
    canvas = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(canvas, [np.round((corners - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)], 1, shift=_SUBPIXEL)
    return canvas.astype(bool)
