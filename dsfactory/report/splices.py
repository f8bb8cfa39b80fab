"""A few of a run's mosaics and paste compositions, for the page."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.splicing import spliced_samples_of
from dsfactory.report.pictures import Picture, draw_picture

SHOWN = 6
"""Pictures of each family."""


@dataclass(frozen=True)
class Splices:
    """What ``dsfactory splice`` made.

    Attributes:
        total: finished splices.
        pictures: the first of each family, with their kind (``2x2``, ``paste`` …).
        problem: why they are not shown; empty when they are.
    """

    total: int
    pictures: list[tuple[str, Picture]]
    problem: str = ""


def read_splices(run_path: Path) -> Splices:
    """The splices of a run, which may have none."""
    try:
        found = spliced_samples_of(run_path, 0.0)
        if found is None:
            return Splices(0, [])
        pictures: list[tuple[str, Picture]] = []
        families = [family for _, _, family in found.space.layout.shards]
        for family in sorted(set(families)):
            spec = next((spec for spec in found.specs if families[spec.index] == family), None)
            if spec is None:
                continue
            for record in islice(found.space.reader("splice", spec).records(), SHOWN):
                picture = draw_picture(record.files)
                if picture is not None:
                    pictures.append((record.row["kind"], picture))
        return Splices(sum(len(spec) for spec in found.specs), pictures)
    except (UserError, DamagedShard) as error:
        return Splices(0, [], str(error))
