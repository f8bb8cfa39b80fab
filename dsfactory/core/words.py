"""Counts in words."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """``"1 shard"``, ``"3 shards"``, ``"2 classes"``.

    Args:
        number: how many.
        noun: of one.
        plural: of several, where that is more than an ``s``.
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
