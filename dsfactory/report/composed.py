"""A few samples of each stage that numbers its own, for the page."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dsfactory.dataset.samples import ComposedSamples
from dsfactory.errors import DamagedShard, UserError
from dsfactory.jobs.samples import samples_of
from dsfactory.report.pictures import Picture, draw_picture
from dsfactory.report.source import Source

SHOWN = 6
"""Pictures of each part of a sample space."""


@dataclass(frozen=True)
class Section:
    """What a stage with a sample space of its own made.

    Attributes:
        name: of the stage.
        total: finished samples.
        pictures: the first of each part of the space, with what they are.
        problem: why they are not shown; empty when they are.
    """

    name: str
    total: int
    pictures: list[tuple[str, Picture]]
    problem: str = ""


def read_sections(source: Source) -> list[Section]:
    """A section for each stage of the run that has samples of its own and has finished some."""
    names = [member.kind.name for member in source.members if member.kind.own_space]
    found = (_section(source.run.path, name, [other for other in names if other != name]) for name in names)
    return [section for section in found if section.total or section.problem]


def _section(run_path: Path, name: str, others: list[str]) -> Section:
    try:
        composed = samples_of(run_path, 0.0, without=others).composed
        total = sum(len(spec) for item in composed for spec in item.specs)
        return Section(name, total, [picture for item in composed for picture in _pictures(item)])
    except (UserError, DamagedShard) as error:
        return Section(name, 0, [], str(error))


def _pictures(found: ComposedSamples) -> Iterator[tuple[str, Picture]]:
    space, folder = found.space, found.space.kind.folder
    cells = {spec: space.layout.shards[spec.index][2] for spec in found.specs}
    for cell in sorted(set(cells.values())):
        records = (
            record for spec in found.specs if cells[spec] == cell for record in space.reader(folder, spec).records()
        )
        for record in islice(records, SHOWN):
            picture = draw_picture(record.files)
            if picture is not None:
                yield str(record.row.get("kind") or cell), picture
