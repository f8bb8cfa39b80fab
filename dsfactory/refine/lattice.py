"""Fast high-dimensional Gaussian filtering on the permutohedral lattice.

Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010.
Every pixel is a point in feature space; its value is spread over the corners of the simplex that holds it
(splat), the corners are blurred along the lattice's d + 1 directions, and read back (slice). The cost grows with the
square of the number of features instead of exponentially as on a grid.
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


class PermutohedralLattice:
    """A unit-variance Gaussian filter over a fixed set of points, applied to any number of values.

    Args:
        features: float32 array of shape ``(d, points)``; coordinates divided by the standard deviation wanted.
    """

    def __init__(self, features: Float) -> None:
        d = len(features)
        base, rank, self._weights = _enclosing_simplex(_elevate(features))
        # Pixels share simplices, so corners are looked up once per distinct simplex: sorting one
        # number per pixel is d + 1 times cheaper than sorting every corner of every pixel.
        code = _pack([*(base[:d] // (d + 1)), *rank[:d]])
        _, first, simplex = np.unique(code, return_index=True, return_inverse=True)
        # Corners lie up to d from the base, and their neighbours up to d further, on either side.
        place = _places(np.ptp(base[:d], axis=1) + 4 * d + 1)
        corners = _corner_codes(base[:, first], rank[:, first], place)
        codes, vertex = np.unique(corners, return_inverse=True)
        self.vertices = len(codes)
        self._corners = vertex.reshape(d + 1, -1)[:, simplex]
        self._neighbours = _neighbours(codes, place)
        self._scale = np.float32(1.0 / (1.0 + 2.0**-d))

    def filter(self, values: Float) -> Float:
        """Filter values that live on the points.

        Args:
            values: float32 array of shape ``(channels, points)``.

        Returns:
            float32 array of the same shape, not normalised: divide by filtered ones for an average.
        """
        out = np.zeros_like(values)
        grid = np.empty(self.vertices + 1, dtype=np.float32)
        part = np.empty(values.shape[1], dtype=np.float32)
        for channel, result in zip(values, out, strict=True):
            splat = np.zeros(self.vertices)
            for corner, weight in zip(self._corners, self._weights, strict=True):
                np.multiply(weight, channel, out=part)
                splat += np.bincount(corner, weights=part, minlength=self.vertices)
            grid[:-1] = splat
            grid[-1] = 0.0  # stands for every missing neighbour
            for before, after in self._neighbours:
                grid[:-1] += np.float32(0.5) * (grid[before] + grid[after])
            for corner, weight in zip(self._corners, self._weights, strict=True):
                grid.take(corner, out=part, mode="clip")  # with an output, other modes copy first
                part *= weight
                result += part
        out *= self._scale
        return out


def _elevate(features: Float) -> Float:
    """Embed points of shape ``(d, points)`` in the hyperplane of R^(d+1) whose coordinates sum to zero."""
    d = len(features)
    # Splatting, blurring each direction with (1/2, 1, 1/2) and slicing add up to this variance (section 3.2).
    spread = np.sqrt(2.0 / 3.0) * (d + 1)
    elevated = np.empty((d + 1, features.shape[1]), dtype=np.float32)
    total = np.zeros(features.shape[1], dtype=np.float32)
    for axis in range(d, 0, -1):
        scaled = features[axis - 1] * np.float32(spread / np.sqrt(axis * (axis + 1)))
        elevated[axis] = total - np.float32(axis) * scaled
        total += scaled
    elevated[0] = total
    return elevated


def _enclosing_simplex(elevated: Float) -> tuple[NDArray[np.int32], NDArray[np.int32], Float]:
    """The simplex that holds each point: its remainder-0 corner, the rank of each coordinate, barycentric weights."""
    size = len(elevated)
    nearest = np.rint(elevated / np.float32(size)).astype(np.int32)
    base = nearest * size
    offset = elevated - base.astype(np.float32)
    # rank[i] counts the coordinates with a larger offset.
    rank = np.zeros_like(base)
    for i in range(size):
        for j in range(i + 1, size):
            smaller = offset[i] < offset[j]
            rank[i] += smaller
            rank[j] += ~smaller
    # Rounding may leave the hyperplane; the coordinates rounded most wrongly are moved back.
    rank += nearest.sum(axis=0)
    shift = (rank < 0).astype(np.int32) - (rank >= size)
    rank += shift * size
    base += shift * size
    offset = (elevated - base.astype(np.float32)) / np.float32(size)
    sorted_offset = np.empty_like(offset)
    np.put_along_axis(sorted_offset, rank.astype(np.intp), offset, axis=0)
    weights = np.empty_like(offset)
    weights[1:] = (sorted_offset[:-1] - sorted_offset[1:])[::-1]
    weights[0] = 1.0 + sorted_offset[-1] - sorted_offset[0]
    return base, rank, weights


def _corner_codes(base: NDArray[np.int32], rank: NDArray[np.int32], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer per corner of each simplex, shape ``(d + 1, simplices)``.

    From one corner to the next all coordinates grow by 1, but for one, the next in rank from the last, which falls
    by d. The last coordinate is minus the sum of the others and has no place.
    """
    size = len(base)
    falling = np.empty(rank.shape, dtype=np.int64)
    np.put_along_axis(falling, rank.astype(np.intp), np.append(place, 0)[:, None] * size, axis=0)
    codes = np.empty(base.shape, dtype=np.int64)
    codes[0] = place @ base[:-1]
    for corner in range(1, size):
        codes[corner] = codes[corner - 1] + place.sum() - falling[size - corner]
    return codes


def _places(sizes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Place values that turn coordinates, each below its size, into one integer."""
    places = np.ones(len(sizes), dtype=np.int64)
    places[1:] = np.cumprod(sizes[:-1].astype(np.int64))
    return places


def _pack(columns: list[NDArray[np.int32]]) -> NDArray[np.int64]:
    """One integer per point that differs wherever any of the columns differs."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        low = column.min()
        code *= int(column.max() - low + 1)
        code += column - low
    return code


def _neighbours(codes: NDArray[np.int64], place: NDArray[np.int64]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Index of each vertex's two neighbours along every lattice direction; ``len(codes)`` where there is none."""

    def find(wanted: NDArray[np.int64]) -> NDArray[np.intp]:
        position = np.searchsorted(codes, wanted)
        position[position == len(codes)] = 0
        return np.where(codes[position] == wanted, position, len(codes))

    d = len(place)
    pairs = []
    for direction in range(d + 1):
        step = np.ones(d, dtype=np.int64)
        if direction < d:
            step[direction] = -d
        offset = int(step @ place)
        pairs.append((find(codes - offset), find(codes + offset)))
    return pairs
