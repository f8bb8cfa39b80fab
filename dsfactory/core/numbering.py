"""Which class and which index within it the number of a sample in the run's own space stands for.

Classes take turns at first: number 0 is the first class, 1 the second, and so on. A class that is to have more
samples than the others gets blocks of numbers of its own after that. Numbers that were given never change, so a run
grows in any proportion and keeps what it has.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dsfactory.core.sample import SampleId, sample_key, sample_seed

Block = tuple[int, int, int]
"""``(first number, number after the last, class position)``."""


@dataclass(frozen=True)
class Numbering:
    """The numbers of a run's samples.

    Attributes:
        classes: names in label order.
        total: number of samples.
        blocks: numbers of one class each, one after the other up to ``total``; below the first, classes take turns.
    """

    classes: tuple[str, ...]
    total: int
    blocks: tuple[Block, ...] = ()

    @property
    def in_turns(self) -> int:
        """Numbers for which the classes take turns."""
        return self.blocks[0][0] if self.blocks else self.total

    def place(self, number: int) -> tuple[int, int]:
        """``(class position, index within the class)`` of a number."""
        turns = len(self.classes)
        if not self.blocks or number < self.in_turns:
            return number % turns, number // turns
        found = bisect_right(self.blocks, (number, self.total, turns)) - 1
        start, _, position = self.blocks[found]
        earlier = sum(stop - first for first, stop, other in self.blocks[:found] if other == position)
        return position, self._turns_of(position) + earlier + number - start

    def counts(self) -> dict[str, int]:
        """Samples of each class."""
        found = [self._turns_of(position) for position in range(len(self.classes))]
        for start, stop, position in self.blocks:
            found[position] += stop - start
        return dict(zip(self.classes, found, strict=True))

    def _turns_of(self, position: int) -> int:
        return -(-max(0, self.in_turns - position) // len(self.classes))

    def samples(self, start: int, stop: int, run_seed: int) -> Iterator[SampleId]:
        """The samples of the numbers from ``start`` up to ``stop``."""
        for number in range(start, stop):
            position, index = self.place(number)
            name = self.classes[position]
            yield SampleId(sample_key(number), number, name, index, sample_seed(run_seed, "", name, index))

    def grown(self, wanted: Mapping[str, int]) -> "Numbering":
        """The numbering with at least this many samples of each class; what is numbered stays as it is."""
        there = self.counts()
        target = {name: max(there[name], wanted.get(name, 0)) for name in self.classes}
        total, blocks = self.total, list(self.blocks)
        if not blocks:
            total = max(total, min(target.values()) * len(self.classes))
            there = Numbering(self.classes, total).counts()
        for position, name in enumerate(self.classes):
            if more := target[name] - there[name]:
                blocks.append((total, total + more, position))
                total += more
        return Numbering(self.classes, total, tuple(blocks))
