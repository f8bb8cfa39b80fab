"""Fast high-dimensional Gaussian filtering on the permutohedral lattice.

Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010.
Every point lies in a feature space; its value is spread over the corners of the simplex that holds it (splat), the
corners are blurred along the lattice's d + 1 directions, and read back (slice). The cost grows with the square of the
number of features instead of exponentially as on a grid.

Written for PyTorch, so that it runs on a CPU and on a GPU alike. Splat and slice are weighted sums of rows, and the
lattice is found by sorting alone, so equal input gives equal output.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

_KEY_LIMIT = 2**62
"""Cells of the feature space are numbered by 64-bit integers, with room for a step beyond either end."""


class PermutohedralLattice:
    """A unit-variance Gaussian filter over a fixed set of points, applied to any number of values.

    Args:
        features: float32 tensor of shape ``(d, points)``; coordinates divided by the standard deviation wanted.
        groups: int64 tensor of shape ``(points,)``, numbers from 0: points of different groups do not meet (images of
            a batch). None for one group.

    Raises:
        ValueError: the features span so many cells that they cannot be numbered.
    """

    def __init__(self, features: Tensor, groups: Tensor | None = None) -> None:
        d = len(features)
        base, rank, weights = _enclosing_simplex(_elevate(features))
        # Pixels share simplices, so corners are looked up once per distinct simplex: sorting one number per
        # pixel is d + 1 times cheaper than sorting every corner of every pixel.
        simplices = _group(_pack([*([] if groups is None else [groups]), *base[:d], *rank[:d]]))
        first = simplices.order[simplices.starts]
        corners = base.new_empty(d + 1, len(first), dtype=torch.int64)
        place, span = _places(base[:d], d)
        _corner_codes(base[:, first], rank[:, first], place, out=corners)
        if groups is not None:
            if span * (int(groups.max()) + 1) > _KEY_LIMIT:
                raise ValueError("the images of the batch span too many lattice cells together: pass fewer at once")
            corners += groups[first] * span
        vertices = _group(corners.flatten())
        codes = corners.flatten()[vertices.order[vertices.starts]]
        self.vertices = len(codes)
        """Number of lattice points that carry a value."""
        vertex = vertices.of_each().view(d + 1, -1)
        self._slice_index = vertex.t().contiguous().index_select(0, simplices.of_each())
        self._slice_weights = weights.t().contiguous()
        self._scale = 1.0 / (1.0 + 2.0**-d)
        self._splat_index, self._splat_weights, self._splat_starts = _transposed(simplices, vertices, weights)
        self._neighbours = _neighbours(codes, place)

    def filter(self, values: Tensor) -> Tensor:
        """Filter values that live on the points.

        Args:
            values: float32 tensor of shape ``(points, channels)``.

        Returns:
            float32 tensor of the same shape, not normalised: divide by filtered ones for an average.
        """
        grid = embedding_bag(
            self._splat_index, values, self._splat_starts, per_sample_weights=self._splat_weights, mode="sum"
        )
        for before, after in self._neighbours:
            blurred = grid.index_select(0, before).add_(grid.index_select(0, after))
            grid = grid.add(blurred, alpha=0.5)
            grid[-1] = 0.0
        grid *= self._scale
        return embedding_bag(self._slice_index, grid, per_sample_weights=self._slice_weights, mode="sum")


class _Groups(NamedTuple):
    """Equal numbers brought together, groups in ascending order.

    Attributes:
        order: int64, the numbers' positions, group by group.
        starts: int64, where each group begins in ``order``.
        member: int32, the group of each place in ``order``.
    """

    order: Tensor
    starts: Tensor
    member: Tensor

    def of_each(self) -> Tensor:
        """The group of each number, int32, in the numbers' own order."""
        return torch.empty_like(self.member).index_copy_(0, self.order, self.member)


def _group(numbers: Tensor) -> _Groups:
    ordered, order = torch.sort(numbers, stable=True)
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[1:], ordered[:-1], out=fresh[1:])
    return _Groups(order, fresh.nonzero().flatten(), fresh.cumsum(0, dtype=torch.int32) - 1)


def _elevate(features: Tensor) -> Tensor:
    """Embed points of shape ``(d, points)`` in the hyperplane of R^(d+1) whose coordinates sum to zero."""
    d = len(features)
    # Splatting, blurring each direction with (1/2, 1, 1/2) and slicing add up to this variance (section 3.2).
    spread = (2.0 / 3.0) ** 0.5 * (d + 1)
    elevated = features.new_empty(d + 1, features.shape[1])
    total = torch.zeros_like(features[0])
    for axis in range(d, 0, -1):
        scaled = features[axis - 1] * (spread / (axis * (axis + 1)) ** 0.5)
        elevated[axis] = total - axis * scaled
        total += scaled
    elevated[0] = total
    return elevated


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The simplex that holds each point: its remainder-0 corner divided by d + 1, as int32; the rank of each
    coordinate, int8; and the barycentric weights."""
    size = len(elevated)
    base = torch.round(elevated / size)
    offset = elevated - base * size
    # rank[i] counts the coordinates with a larger offset.
    rank = torch.zeros_like(offset, dtype=torch.int8)
    for i in range(size):
        for j in range(i + 1, size):
            smaller = (offset[i] < offset[j]).view(torch.int8)
            rank[i] += smaller
            rank[j] += 1
            rank[j] -= smaller
    # Rounding may leave the hyperplane; the coordinates rounded most wrongly are moved back.
    rank += base.sum(0).to(torch.int8)
    shift = (rank < 0).to(torch.int8) - (rank >= size).to(torch.int8)
    rank += shift * size
    base += shift
    offset -= shift * size
    ordered = torch.empty_like(offset).scatter_(0, rank.long(), offset / size)
    weights = torch.empty_like(offset)
    torch.sub(ordered[:-1], ordered[1:], out=weights[1:])
    weights[1:] = weights[1:].flip(0)
    weights[0] = 1.0 + ordered[-1] - ordered[0]
    return base.int(), rank, weights


def _pack(columns: list[Tensor]) -> Tensor:
    """One integer per point that differs wherever any of the columns differs.

    Raises:
        ValueError: 64 bits do not hold it.
    """
    bounds = [torch.aminmax(column) for column in columns]
    lows = [int(low) for low, _ in bounds]
    sizes = [int(high) - low + 1 for (_, high), low in zip(bounds, lows, strict=True)]
    total = 1
    for size in sizes:
        total *= size
    if total > _KEY_LIMIT:
        raise ValueError("the features span too many lattice cells: wider kernels or smaller images need fewer")
    code = torch.zeros(columns[0].shape, dtype=torch.int64, device=columns[0].device)
    for column, low, size in zip(columns, lows, sizes, strict=True):
        code.mul_(size).add_(column).sub_(low)
    return code


def _places(base: Tensor, d: int) -> tuple[Tensor, int]:
    """Place values that turn the first d coordinates of a vertex into one integer, and how many integers there are.

    Corners lie up to d from the base, whose unit is d + 1, and their neighbours up to d further, on either side.
    """
    low, high = torch.aminmax(base, dim=1)
    products = ((high - low).long() * (d + 1) + 4 * d + 1).cumprod(0)
    return torch.cat([torch.ones_like(products[:1]), products[:-1]]), int(products[-1])


def _corner_codes(base: Tensor, rank: Tensor, place: Tensor, out: Tensor) -> None:
    """One integer per corner of each simplex, written to ``out`` of shape ``(d + 1, simplices)``.

    From one corner to the next all coordinates grow by 1, but for one, the next in rank from the last, which falls
    by d. The last coordinate is minus the sum of the others and has no place.
    """
    size = len(base)
    falls = torch.cat([place, torch.zeros_like(place[:1])])[:, None] * size
    falling = torch.empty_like(out).scatter_(0, rank.long(), falls.expand(out.shape))
    torch.sum(base[:-1] * (place * size)[:, None], 0, out=out[0])
    rise = place.sum()
    for corner in range(1, size):
        torch.sub(out[corner - 1] + rise, falling[size - corner], out=out[corner])


def _transposed(simplices: _Groups, vertices: _Groups, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each vertex the points around it and their weights: ``(points, weights, starts)`` of ragged rows.

    Corner c of simplex s is fed by the points of s, which stand together in the order of simplices, with their weights
    for c. The row of a vertex is those of all corners that lie on it, one after the other.
    """
    points = weights.shape[1]
    begin = simplices.starts.int()
    length = torch.diff(begin, append=begin.new_tensor([points]))
    corner = torch.div(vertices.order, len(begin), rounding_mode="floor")
    simplex = vertices.order - corner * len(begin)
    lengths = length[simplex]
    ends = lengths.cumsum(0, dtype=torch.int32)
    source = torch.repeat_interleave((corner * points).int() + begin[simplex] - (ends - lengths), lengths)
    source += torch.arange(len(source), dtype=torch.int32, device=source.device)
    # An empty last row: the vertex that stands for missing neighbours.
    starts = torch.cat([(ends - lengths)[vertices.starts], ends[-1:]])
    by_simplex = weights.index_select(1, simplices.order).flatten()
    indices = simplices.order.int().repeat(len(weights))
    return indices.index_select(0, source), by_simplex.index_select(0, source), starts


def _neighbours(codes: Tensor, place: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Index of each vertex's two neighbours along every lattice direction; ``len(codes)`` where there is none.

    The last row, of the vertex that stands for missing ones, names itself.
    """
    d = len(place)
    missing = len(codes)

    def find(wanted: Tensor) -> Tensor:
        position = torch.searchsorted(codes, wanted).clamp_(max=missing - 1)
        found = torch.where(codes[position] == wanted, position, missing)
        return torch.cat([found, found.new_tensor([missing])]).int()

    pairs = []
    for direction in range(d + 1):
        offset = place.sum() - (place[direction] * (d + 1) if direction < d else 0)
        pairs.append((find(codes - offset), find(codes + offset)))
    return pairs
