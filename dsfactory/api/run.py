"""A run on the disk, as Python sees it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.stages import STAGES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from dsfactory.core.run import Run as _Run


@dataclass(frozen=True)
class Sample:
    """One image with its labels.

    Attributes:
        key: its name, unique in the run or the export.
        row: its columns: prompt, seed, scores, status and reason; empty for a sample of an export.
        split: ``"train"`` or ``"val"`` where that is settled, else None.
        trust: of each object by its instance id, the probability that its IoU with the truth is 0.8 or more; empty
            where nobody can say, and for the samples of a single stage.
    """

    key: str
    row: dict[str, Any] = field(repr=False)
    split: str | None = None
    trust: Mapping[int, float] = field(default_factory=dict)
    _image: bytes = field(default=b"", repr=False)
    _labels: "tuple[NDArray[np.uint8], NDArray[np.uint8]] | tuple[bytes, bytes] | None" = field(
        default=None, repr=False
    )

    @property
    def image_png(self) -> bytes:
        """The image's file; empty where there is none."""
        return self._image

    def _repr_html_(self) -> str:
        from dsfactory.api.html import sample_html

        return sample_html(self)

    @cached_property
    def image(self) -> "NDArray[np.uint8]":
        """The image, uint8 ``(height, width, 3)``, RGB."""
        from dsfactory.formats.reading.images import decode, rgb_pixels

        return rgb_pixels(decode(self._image))

    @cached_property
    def mask(self) -> "NDArray[np.uint8] | None":
        """Class ids, uint8 ``(height, width)``: 0 background, 255 ignored; None before it is labelled."""
        return self._decoded(0)

    @cached_property
    def instances(self) -> "NDArray[np.uint8] | None":
        """Instance ids from 1, uint8 ``(height, width)``: 0 background, 255 ignored; None before it is labelled."""
        return self._decoded(1)

    def _decoded(self, place: int) -> "NDArray[np.uint8] | None":
        from dsfactory.core.png import decode_index_png

        if self._labels is None:
            return None
        found = self._labels[place]
        return decode_index_png(found) if isinstance(found, bytes) else found


class Run:
    """A run on the disk.

    Args:
        path: its folder.

    Raises:
        UserError: there is no run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from dsfactory.core.run import Run as OnDisk

        self.path = Path(path)
        OnDisk.open(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        from dsfactory.api.html import run_html

        return run_html(self)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order: the first has id 1."""
        return tuple(item.name for item in self._open().manifest.classes)

    def status(self) -> dict[str, Any]:
        """What the run holds: per stage the samples that are finished, and their statuses."""
        from dsfactory.jobs.status import status_of

        return status_of(self.path)

    def samples(self, stage: str | None = None, kept: bool = False) -> Iterator[Sample]:
        """The samples that a stage has finished, in order.

        Args:
            stage: its name; None for what an export takes: kept samples with the labels that count, those that a
                person corrected included, and what was composed of them.
            kept: only those with status ok. Those of ``stage=None`` all are.

        Raises:
            UserError: the stage has finished nothing.
            DamagedShard: a shard cannot be read.
        """
        if stage is None:
            from dsfactory.jobs.samples import samples_of

            for item in samples_of(self.path, 0.1).samples():
                labels: Any = item.mask_png, item.instances_png
                yield Sample(item.key, dict(item.row), item.split, item.trust, item.image_png, labels)
            return
        yield from self._of_stage(stage, kept)

    def _of_stage(self, stage: str, kept: bool) -> Iterator[Sample]:
        from dsfactory.core.chain import offers, serving
        from dsfactory.core.sample import IMAGE, INSTANCES, MASK
        from dsfactory.core.space import space_of
        from dsfactory.core.stage import Role
        from dsfactory.dataset.labels import finished_shards
        from dsfactory.runner.signals import check_stop

        kind = _kind(stage)
        run = self._open()
        space = space_of(run, kind)
        served = () if kind.own_space else serving(kind, offers(run, STAGES.begun(run, before=kind)))
        images = next((item.kind.folder for item in served if Role.IMAGE in item.kind.writes.roles), None)
        for spec in _some(finished_shards(space, kind.folder), self.path, stage):
            check_stop()
            beside = run.reader(images, spec).records() if images is not None else iter(())
            for record in space.reader(kind.folder, spec).records():
                files = {**(next(beside).files if images is not None else {}), **record.files}
                if kept and record.row.get("status", "ok") != "ok":
                    continue
                labels = (files[MASK], files[INSTANCES]) if MASK in files else None
                yield Sample(record.key, dict(record.row), None, {}, files.get(IMAGE, b""), labels)

    def table(self, stage: str) -> "pa.Table":
        """All rows that a stage has finished, as an Arrow table.

        Raises:
            UserError: the stage has finished nothing.
        """
        import pyarrow as pa

        from dsfactory.core.space import space_of
        from dsfactory.dataset.labels import finished_shards

        kind = _kind(stage)
        space = space_of(self._open(), kind)
        rows: list[dict[str, Any]] = []
        for spec in _some(finished_shards(space, kind.folder), self.path, stage):
            rows += [dict(row) for row in space.reader(kind.folder, spec).rows]
        return pa.Table.from_pylist(rows, schema=kind.writes.schema)

    def _open(self) -> "_Run":
        from dsfactory.core.run import Run as OnDisk

        return OnDisk.open(self.path)


def _kind(stage: str) -> Any:
    from dsfactory.errors import UserError

    if stage not in STAGES.names:
        raise UserError(f"there is no stage {stage!r}: there are {', '.join(STAGES.names)}")
    return STAGES[stage]


def _some(specs: list[Any], path: Path, stage: str) -> list[Any]:
    from dsfactory.errors import UserError

    if not specs:
        raise UserError(f"{path}: {stage} has finished nothing yet")
    return specs
