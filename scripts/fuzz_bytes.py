"""Words, values and changed bytes that the targets of ``scripts/fuzz.py`` share."""

import random
import tarfile
from typing import Any

WORDS = ["dog", "traffic light", "../../etc/passwd", "..", "/", "", " ", "-", "'", "x" * 70, "x" * 5000, "\0",
         "\x1b[2J", "собака", "狗", "é" * 30, "a" + "\u0301\u0327" * 600, "\ud800", "\u202e", "CON", "dog\n", "dog,",
         "&", "%s{0}", "~", "~nobodyhere/x", "#", ": a", "null", "1e999", "\ufeff", "\u2028", "İ", "ﬁ"]  # fmt: skip
SCALARS: list[Any] = [None, True, -1, 0, 1, 2**63, 10**30, 0.5, float("nan"), float("inf"), "", "dog", "x" * 300,
                      "coco", "1-3", "3-1", "²", "auto", [], {}, [[]], {"a": 1}, {3: 4}, "a\0b", "\x1b]0;"]  # fmt: skip
TAR_TYPES = [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE,
             tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.CONTTYPE, tarfile.XHDTYPE]  # fmt: skip


def encode(rng: random.Random, text: str) -> bytes:
    """Text in one encoding or another, mostly UTF-8."""
    return text.encode(rng.choice(["utf-8"] * 6 + ["utf-16", "utf-8-sig", "utf-32-le"]), "surrogatepass")


def unicode_text(rng: random.Random, length: int) -> str:
    """Any characters, half of them European letters."""
    return "".join(chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x110000)])) for _ in range(length))


def mutate(rng: random.Random, data: bytes, chance: float = 0.3) -> bytes:
    """With this chance: flip bits, cut, repeat or insert; otherwise as it was. Certain change at 1.0."""
    if rng.random() >= chance or not data:
        return data
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 5])):
        place = rng.randrange(len(changed))
        kind = rng.choice(["flip", "flip", "cut", "insert"])
        if kind == "flip":
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del changed[place : place + rng.choice([1, 10, len(changed)])]
        else:
            changed[place:place] = rng.randbytes(rng.choice([1, 4, 50]))
        if not changed:
            break
    return bytes(changed)


def mutate_value(rng: random.Random, value: Any) -> Any:
    """A JSON value with one part of it replaced, taken away or repeated, somewhere inside."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        if rng.random() < 0.15:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, name: mutate_value(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        if rng.random() < 0.15:
            return value[:place] + rng.choice([[], [value[place]] * 2, [value[place]] * 300]) + value[place + 1 :]
        return [*value[:place], mutate_value(rng, value[place]), *value[place + 1 :]]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice([-1, 0, 1, 2, 255, 256, 65536, 10**9, 2**63, 10**400, -value, value + 1, value * 1.5])
    return rng.choice([*SCALARS, *WORDS, "[" * 50])
