"""Seeds that depend on what a sample is, never on the order or the place in which it is drawn."""

import hashlib


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Hash a run seed and a path of labels into a seed of 63 bits.

    The same arguments give the same seed on every machine and in every version of Python.
    Parts are length-prefixed, so ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (run_seed, *parts):
        data = f"{type(part).__name__}:{part}".encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return int.from_bytes(digest.digest(), "big") >> 1
