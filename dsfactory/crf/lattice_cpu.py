"""The permutohedral lattice of :mod:`dsfactory.crf.lattice`, for one image on one core: NumPy and SciPy.

The same filter, up to rounding. Points are embedded in blocks that fit into the processor's cache, and splat and slice
are products with one sparse matrix, which can be taken for a few of the points alone.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Float = NDArray[np.float32]
Ints = NDArray[np.int64]

_BLOCK = 16384
"""Points embedded at once: their temporary arrays stay in the second-level cache."""

_KEY_LIMIT = 2**62


class CpuLattice:
    """A unit-variance Gaussian filter over a fixed set of points (Adams, Baek and Davis 2010).

    Args:
        features: float32 of shape ``(d, points)``; coordinates divided by the standard deviation wanted.

    Raises:
        ValueError: the features span so many cells that they cannot be numbered.
    """

    def __init__(self, features: Float) -> None:
        d = len(features)
        embedded = _embed(features)
        simplex, first = _group(_simplex_codes(embedded))
        base = embedded.base[:, first]
        self._low, self._high = base[:d].min(1).astype(np.int64), base[:d].max(1).astype(np.int64)
        self._place = _places(self._low, self._high)
        codes = _corner_codes(base, embedded.rank[:, first], self._low, self._place)
        vertex, lead = _group(codes.ravel())
        self._codes = codes.ravel()[lead]
        self.vertices = len(lead)
        """Number of lattice points that carry a value."""
        self._weights = _sparse(embedded.weights, vertex.reshape(d + 1, -1), simplex, self.vertices)
        self._neighbours = _neighbours(self._codes, self._place)
        self._scale = np.float32(1.0 / (1.0 + 2.0**-d))

    def rows(self, at: Ints) -> csr_array:
        """The part of the lattice that some points touch, to be passed to :meth:`splat` and :meth:`slice`."""
        size = self._weights.nnz // self._weights.shape[0]
        weights, corners = (values.reshape(-1, size) for values in (self._weights.data, self._weights.indices))
        ends = np.arange(0, size * len(at) + 1, size, dtype=np.int32)
        taken = weights.take(at, axis=0).ravel(), corners.take(at, axis=0).ravel(), ends
        return csr_array(taken, shape=(len(at), self.vertices))

    def locate(self, features: Float) -> csr_array:
        """Where other points lie in the lattice, to be passed to :meth:`slice` after a blur.

        Where no point of the lattice's own is near, there is nothing to read: such a corner gives nothing.

        Args:
            features: float32 of shape ``(d, points)``, as in the constructor.
        """
        d = len(features)
        embedded = _embed(features)
        simplex, first = _group(_simplex_codes(embedded))
        base = embedded.base[:, first]
        codes = _corner_codes(base, embedded.rank[:, first], self._low, self._place)
        vertex = np.minimum(np.searchsorted(self._codes, codes), self.vertices - 1)
        absent = self._codes[vertex] != codes
        # Outside the range that the codes were made for, they mean other corners.
        absent |= ((base[:d] < self._low[:, None]) | (base[:d] > self._high[:, None])).any(0)
        given = ~absent.take(simplex, axis=1).T
        return _sparse(embedded.weights * given, vertex, simplex, self.vertices)

    def splat(self, values: Float, rows: csr_array | None = None) -> Float:
        """Spread values over the lattice: float32 of shape ``(vertices, channels)``.

        Args:
            values: float32 of shape ``(points, channels)``.
            rows: of the points that the values belong to; None for all.
        """
        return _product((self._weights if rows is None else rows).T, values)

    def blur(self, grid: Float) -> Float:
        """Blur what was splatted along every direction of the lattice."""
        padded = np.zeros((self.vertices + 1, grid.shape[1]), np.float32)
        np.multiply(grid, self._scale, out=padded[:-1])
        for before, after in self._neighbours:
            sides = padded.take(before, axis=0)
            sides += padded.take(after, axis=0)
            sides *= np.float32(0.5)
            padded[:-1] += sides
        return padded[:-1]

    def slice(self, grid: Float, rows: csr_array | None = None) -> Float:
        """Read the lattice at all points, or at those of ``rows``: float32 of shape ``(points, channels)``.

        Not normalised: divide by what ones give for an average.
        """
        return _product(self._weights if rows is None else rows, grid)


def _product(matrix: csr_array, values: Float) -> Float:
    """A sparse matrix times ``(n, channels)``; one channel is quicker as a vector."""
    if values.shape[1] == 1:
        return np.asarray(matrix @ values[:, 0])[:, None]
    return np.asarray(matrix @ values)


class _Embedded(NamedTuple):
    """Where each point lies in the lattice.

    Attributes:
        base: int32 ``(d + 1, points)``: the remainder-0 corner of its simplex, divided by d + 1.
        rank: int8 ``(d + 1, points)``: how many coordinates lie farther above that corner than this one.
        weights: float32 ``(points, d + 1)``: barycentric weight of each corner.
    """

    base: NDArray[np.int32]
    rank: NDArray[np.int8]
    weights: Float


def _embed(features: Float) -> _Embedded:
    d, points = features.shape
    size = d + 1
    found = _Embedded(
        np.empty((size, points), np.int32), np.empty((size, points), np.int8), np.empty((points, size), np.float32)
    )
    for start in range(0, points, _BLOCK):
        block = slice(start, start + _BLOCK)
        offset = _elevate(features[:, block])
        base = np.rint(offset * np.float32(1.0 / size))
        offset -= base * np.float32(size)
        rank = _ranks(offset)
        # Rounding may leave the hyperplane; the coordinates rounded most wrongly are moved back.
        rank += base.sum(0).astype(np.int8)
        shift = (rank < 0).view(np.int8) - (rank >= size).view(np.int8)
        rank += shift * np.int8(size)
        base += shift
        offset -= shift * np.float32(size)
        found.base[:, block] = base
        found.rank[:, block] = rank
        found.weights[block] = _barycentric(offset).T
    return found


def _elevate(features: Float) -> Float:
    """Embed points in the hyperplane of R^(d+1) whose coordinates sum to zero: ``(d + 1, points)``."""
    d = len(features)
    # Splatting, blurring each direction with (1/2, 1, 1/2) and slicing add up to this variance (section 3.2).
    spread = (2.0 / 3.0) ** 0.5 * (d + 1)
    elevated = np.empty((d + 1, features.shape[1]), np.float32)
    total = np.zeros(features.shape[1], np.float32)
    for axis in range(d, 0, -1):
        scaled = features[axis - 1] * np.float32(spread / (axis * (axis + 1)) ** 0.5)
        np.subtract(total, np.float32(axis) * scaled, out=elevated[axis])
        total += scaled
    elevated[0] = total
    return elevated


def _ranks(offset: Float) -> NDArray[np.int8]:
    """How many coordinates of each point are larger than this one; of equal ones, the first counts as larger."""
    size, points = offset.shape
    rank = np.zeros((size, points), np.int8)
    less = np.empty(points, np.bool_)
    for i in range(size):
        for j in range(i + 1, size):
            np.less(offset[i], offset[j], out=less)
            rank[i] += less.view(np.int8)
            rank[j] -= less.view(np.int8)
        rank[i] += np.int8(i)
    return rank


def _barycentric(offset: Float) -> Float:
    """The weight of each corner, ``(d + 1, points)``: differences of the sorted offsets (section 3.1)."""
    size = len(offset)
    rows = list(offset * np.float32(1.0 / size))
    spare = np.empty_like(rows[0])
    for end in range(size - 1, 0, -1):  # bubble sort, largest first, of all points at once
        for i in range(end):
            np.maximum(rows[i], rows[i + 1], out=spare)
            np.minimum(rows[i], rows[i + 1], out=rows[i + 1])
            rows[i], spare = spare, rows[i]
    weights = np.empty_like(offset)
    np.subtract(rows[-1], rows[0], out=weights[0])
    weights[0] += np.float32(1.0)
    for corner in range(1, size):
        np.subtract(rows[size - corner - 1], rows[size - corner], out=weights[corner])
    return weights


def _simplex_codes(embedded: _Embedded) -> Ints:
    """One integer per point, equal just for points of one simplex: the last coordinate follows from the others.

    Raises:
        ValueError: 64 bits do not hold it.
    """
    size, points = embedded.base.shape
    widths = [int(row.max()) - int(row.min()) + 1 for row in embedded.base[:-1]]
    _check_span([*widths, *(size for _ in widths)])
    codes = np.zeros(points, np.int64)
    for start in range(0, points, _BLOCK):
        block = slice(start, start + _BLOCK)
        code = codes[block]
        for width, row in zip(widths, embedded.base, strict=False):
            code *= width
            code += row[block]
        for row in embedded.rank[:-1]:
            code *= size
            code += row[block]
    return codes


def _check_span(widths: list[int]) -> None:
    if math.prod(widths) > _KEY_LIMIT:
        raise ValueError("the features span too many lattice cells: wider kernels or smaller images need fewer")


def _group(numbers: Ints) -> tuple[NDArray[np.int32], Ints]:
    """The group of each number, groups in ascending order, and the position of the first member of each group."""
    bits = (len(numbers) - 1).bit_length()
    low = int(numbers.min())
    if int(numbers.max()) - low < 2 ** (62 - bits):  # sort number and place as one integer: several times as fast
        packed = numbers - low
        packed <<= bits
        packed |= np.arange(len(numbers))
        packed.sort()
        order = packed & ((1 << bits) - 1)
        ordered = packed >> bits
    else:
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
    fresh = np.ones(len(numbers), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    member = np.empty(len(numbers), np.int32)
    member[order] = np.cumsum(fresh, dtype=np.int32) - 1
    return member, order[fresh]


def _places(low: Ints, high: Ints) -> Ints:
    """The place value of each coordinate in the code of a corner, ``(d,)``.

    Args:
        low: least value of each coordinate of the simplices' bases but the last, ``(d,)``.
        high: largest.

    Raises:
        ValueError: 64 bits do not hold the codes.
    """
    d = len(low)
    # Corners lie up to d from the base, whose unit is d + 1, and their neighbours up to d further, on either side.
    widths = [int(width) for width in (high - low) * (d + 1) + 4 * d + 1]
    _check_span(widths)
    return np.array([math.prod(widths[:axis]) for axis in range(d)], np.int64)


def _corner_codes(base: NDArray[np.int32], rank: NDArray[np.int8], low: Ints, place: Ints) -> Ints:
    """One integer per corner of each simplex, ``(d + 1, simplices)``.

    From one corner to the next all coordinates grow by 1, but for one, the next in rank from the last, which falls by
    d. The last coordinate is minus the sum of the others and has no place.
    """
    size = len(base)
    codes = np.empty((size, base.shape[1]), np.int64)
    codes[0] = (place * size) @ (base[:-1] - low[:, None])
    falls = np.append(place, 0) * size
    axis_of_rank = np.empty(rank.shape, np.int8)  # argsort would do, in ten times the time
    for axis, ranks in enumerate(rank):
        axis_of_rank[ranks, np.arange(base.shape[1])] = axis
    for corner in range(1, size):
        codes[corner] = codes[corner - 1] + place.sum() - falls[axis_of_rank[size - corner]]
    return codes


def _sparse(weights: Float, vertices: Ints | NDArray[np.int32], simplex: NDArray[np.int32], count: int) -> csr_array:
    """The matrix ``(points, count)`` of the points' weights ``(points, d + 1)`` at their simplex's vertices."""
    points, size = weights.shape
    corners = np.ascontiguousarray(vertices.T.astype(np.int32))
    ends = np.arange(0, size * points + 1, size, dtype=np.int32)
    return csr_array((weights.ravel(), corners.take(simplex, axis=0).ravel(), ends), shape=(points, count))


def _neighbours(codes: Ints, place: Ints) -> list[tuple[Ints, Ints]]:
    """Index of each vertex's two neighbours along every direction; ``len(codes)`` where there is none."""
    missing = len(codes)
    offsets = [place.sum() - fall for fall in np.append(place * (len(place) + 1), 0)]
    pairs = []
    for offset in offsets:
        position = np.minimum(np.searchsorted(codes, codes + offset), missing - 1)
        after = np.where(codes[position] == codes + offset, position, missing)
        before = np.full(missing + 1, missing)
        before[after] = np.arange(missing)  # whose neighbour on one side this is, is its neighbour on the other
        pairs.append((before[:-1], after))
    return pairs
