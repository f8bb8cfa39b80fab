"""Mosaics: several samples side by side in one image (DiffuMask, arXiv 2303.11681, section 3.4, "splicing").

Synthetic images show one object that fills the frame; side by side they become small objects in many places.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dsfactory.stages.splice.scene import Scene, empty_scene, fill, place


def mosaic(scenes: Sequence[Scene], rows: int, columns: int, size: int) -> Scene:
    """Put scenes into the cells of a grid, row by row.

    Cells have the shape of the first scene, so nothing is distorted; scenes of another shape lose what sticks out.

    Args:
        scenes: ``rows * columns`` of them.
        rows: number of rows.
        columns: number of columns.
        size: longer side of the result in pixels.

    Returns:
        The mosaic, its objects numbered apart. A grid that is not square gives an image that is not.
    """
    height, width = scenes[0].height * rows, scenes[0].width * columns
    scale = size / max(height, width)
    bottom_edges = np.rint(np.linspace(0, max(rows, round(height * scale)), rows + 1)).astype(int)
    right_edges = np.rint(np.linspace(0, max(columns, round(width * scale)), columns + 1)).astype(int)
    canvas = empty_scene(int(bottom_edges[-1]), int(right_edges[-1]))
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        top, bottom = (int(edge) for edge in bottom_edges[row : row + 2])
        left, right = (int(edge) for edge in right_edges[column : column + 2])
        place(canvas, fill(scene, bottom - top, right - left), top, left)
    return canvas


def kinds(mix: Mapping[str, float]) -> Iterator[str]:
    """An endless sequence of kinds in the proportions of their weights, whatever its length.

    Each next kind is the one that lags most behind its share, so a longer sequence begins like a shorter one.
    """
    total = sum(mix.values())
    debts = dict.fromkeys(mix, 0.0)
    while True:
        for kind, weight in mix.items():
            debts[kind] += weight / total
        chosen = max(debts, key=lambda kind: debts[kind])
        debts[chosen] -= 1.0
        yield chosen
