"""Label Studio's brush masks: run lengths packed bit by bit (rle-pack of thi.ng, as its converter reads them).

A stream of bits: the number of values (32), the size of a value less 1 (5), four sizes of lengths less 1 (4 each). Then
for each run: 1 for a repeated value or 0 for a list of them, which of the sizes (2), its length less 1, the value or
the values. A mask has four equal values a pixel, row by row: 0, or 255 where it is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CHANNELS = 4
_SIZES = (3, 4, 8, 16)


def encode_brush(pixels: NDArray[np.bool_]) -> list[int]:
    """A mask, bool ``(height, width)``, as the bytes of its packed run lengths."""
    flat = pixels.ravel()
    ends = [*(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    bits = [f"{flat.size * _CHANNELS:032b}{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    start = 0
    for end in ends:
        value = f"{255 if flat[start] else 0:08b}"
        left = (end - start) * _CHANNELS
        while left:
            length = min(left, 1 << _SIZES[-1])
            which = next(place for place, size in enumerate(_SIZES) if length <= 1 << size)
            bits.append(f"1{which:02b}{length - 1:0{_SIZES[which]}b}{value}")
            left -= length
        start = end
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def decode_brush(packed: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """The mask, bool ``(height, width)``, of packed run lengths.

    Raises:
        ValueError: they are none of an image of that size. The message goes on after the annotation's name.
    """
    if not isinstance(packed, list) or not all(type(value) is int and 0 <= value < 256 for value in packed):
        raise ValueError("has no run lengths")
    text = "".join(f"{value:08b}" for value in packed)
    total = height * width * _CHANNELS
    place = 0

    def read(count: int) -> int:
        nonlocal place
        if place + count > len(text):
            raise ValueError("has run lengths that break off")
        place += count
        return int(text[place - count : place], 2)

    if read(32) != total:
        raise ValueError(f"has run lengths of another size than the image of {width} × {height} pixels")
    word = read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=bool)
    done = 0
    while done < total:
        repeated = read(1)
        end = done + 1 + read(sizes[read(2)])
        if end > total:
            raise ValueError("has run lengths that are more than the image")
        if repeated:
            values[done:end] = read(word) > 0
        else:
            values[done:end] = [read(word) > 0 for _ in range(end - done)]
        done = end
    return values[_CHANNELS - 1 :: _CHANNELS].reshape(height, width)
