"""The samples that a run has to give: kept, with the labels that count."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsfactory.core.chain import Input
from dsfactory.core.png import decode_index_png, encode_index_png
from dsfactory.core.run import Run
from dsfactory.core.sample import BACKGROUND, IMAGE, INSTANCES, MASK, SHOWS_NONE, VOID, Media, Record
from dsfactory.core.shard import ShardSpec
from dsfactory.core.space import Space
from dsfactory.dataset.corrections import Corrections
from dsfactory.dataset.labels import finished_shards
from dsfactory.dataset.own_files import OwnFiles
from dsfactory.dataset.sample import ExportSample
from dsfactory.dataset.split import ORIGIN, ROOT, SPLIT, Sides, Split
from dsfactory.errors import UserError

COME_ALONG = (ORIGIN, SPLIT, ROOT, "source_run", "source_key")
"""Columns of the images' stage that stages after it need not hand on."""

Check = Callable[[], None]
"""Called between shards; raises when a signal came."""

Trust = Callable[[Record, Record], Mapping[int, float]]
"""Of a sample with its image and attention, and with its labels: how far each object can be trusted, by its id."""


@dataclass(frozen=True)
class KeptSamples:
    """The samples of a run's own space that a dataset takes, as they were at one moment.

    Attributes:
        run: the run.
        images: the stage that made the images.
        labels: the stage whose labels count.
        specs: shards that this stage had finished.
        fingerprint: hash of all labels, which tells datasets apart.
        corrections: labels that a person corrected; they win.
        keep_empty: samples that show none of the classes are taken too.
        only: keys of the samples that are taken; None for all.
    """

    run: Run
    images: Input
    labels: Input
    specs: list[ShardSpec]
    fingerprint: str
    corrections: Corrections
    keep_empty: bool = False
    only: frozenset[str] | None = None

    @classmethod
    def of(
        cls, run: Run, images: Input, labels: Input, keep_empty: bool = False, only: frozenset[str] | None = None
    ) -> "KeptSamples":
        """What a run has to give now.

        Raises:
            UserError: nothing is labelled yet.
            DamagedShard: a shard with labels cannot be read.
        """
        specs = finished_shards(run, labels.kind.folder)
        if not specs:
            raise UserError(f"{run.path} has no masks yet: run 'dsfactory {labels.kind.name} {run.path}' first")
        marks = [run.reader(labels.kind.folder, spec).mark for spec in specs]
        content = json.dumps([[mark.fingerprint, mark.tar_sha256] for mark in marks])
        corrections = Corrections.of(run.path)
        also = "empty" if keep_empty else ""
        also += "" if only is None else " ".join(sorted(only))
        fingerprint = hashlib.sha256(f"{content}{corrections.fingerprint}{also}".encode()).hexdigest()[:32]
        return cls(run, images, labels, specs, fingerprint, corrections, keep_empty, only)

    def count(self) -> int:
        """How many samples :meth:`samples` yields, unless the image of a corrected one has been made again."""
        rows = (row for spec in self.specs for row in self.run.reader(self.labels.kind.folder, spec).rows)
        keys = {row["key"] for row in rows if row["status"] == "ok"}
        fixes = self.corrections.entries
        if self.keep_empty:
            rejected = {key for key, fix in fixes.items() if fix.decision == "reject"}
            rows = (row for spec in self.specs for row in self.run.reader(self.images.kind.folder, spec).rows)
            found = (keys | fixes.keys() | {row["key"] for row in rows if shows_none(row)}) - rejected
        else:
            found = (keys | fixes.keys()) - {key for key in fixes if self.corrections.read(key) is None}
        return len(found if self.only is None else found & self.only)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """The rows of samples with status ok."""
        for spec in self.specs:
            yield from (row for row in self.run.reader(self.labels.kind.folder, spec).rows if row["status"] == "ok")

    def samples(self, check: Check, own: OwnFiles | None = None, trust: Trust | None = None) -> Iterator[ExportSample]:
        """Every sample with status ok or a correction, its image beside its labels.

        With ``keep_empty``, also those from which a person took all labels away, and given pictures that show none of
        the classes: their labels are background.

        Args:
            check: called between shards.
            own: the user's files that the samples were made of; None for samples as the run has them.
            trust: says how far objects can be trusted. What a person corrected or kept is sure.

        Raises:
            DamagedShard: a shard cannot be read.
            UserError: another process made a shard again with other settings.
        """
        for spec in self.specs:
            check()
            images = self.run.reader(self.images.kind.folder, spec)
            labels = self.run.reader(self.labels.kind.folder, spec)
            if (images.mark.fingerprint, labels.mark.fingerprint) != (self.images.mark, self.labels.mark):
                raise UserError(f"{self.run.path} was made again while it was read: give the same command again")
            for image, masks in zip(images.records(), labels.records(), strict=True):
                if self.only is not None and masks.key not in self.only:
                    continue
                decision = self.corrections.decision_of(image)
                corrected = self.corrections.is_corrected(image) and not decision
                name = own.name(image.row) if own is not None else ""
                found = self.corrections.labels_of(image, masks)
                if found is None and self.keep_empty and decision != "reject" and (corrected or shows_none(image.row)):
                    found = _blank(image)
                if found is not None:
                    row = {**{name: image.row[name] for name in COME_ALONG if name in image.row}, **masks.row}
                    files = (image.files[IMAGE], *found)
                    media = self.images.kind.media_of(image.row)
                    sample = ExportSample(masks.key, row, *files, corrected=corrected, media=media)
                    if trust is not None:
                        known = dict.fromkeys(_ids(found[1]), 1.0) if corrected or decision else trust(image, masks)
                        sample = replace(sample, trust=known)
                    yield own.with_file(sample, image.row, name) if own is not None else sample


def shows_none(row: Mapping[str, Any]) -> bool:
    """Whether an image is one of the user's in which none of the classes is seen, by its row."""
    return row["status"] in ("ok", "rejected") and str(row.get("reason", "")).startswith(SHOWS_NONE)


def _ids(instances: bytes) -> list[int]:
    return [int(number) for number in np.unique(decode_index_png(instances)) if number not in (BACKGROUND, VOID)]


def _blank(image: Record) -> tuple[bytes, bytes]:
    """Class mask and instances without any object."""
    blank = encode_index_png(np.zeros((image.row["height"], image.row["width"]), dtype=np.uint8))
    return blank, blank


@dataclass(frozen=True)
class ComposedSamples:
    """The samples of a stage's own space that a dataset takes, as they were at one moment.

    Attributes:
        space: where they are.
        specs: finished shards.
        mark: the fingerprint under which they were made.
        val_share: share of the samples that goes to validation.
        side: the split of each sample of the run, by key.
        media: what the images are.
    """

    space: Space
    specs: list[ShardSpec]
    mark: str
    val_share: float
    side: Sides
    media: Media = "compositeWithTrainedAlgorithmicMedia"

    @property
    def name(self) -> str:
        """Of the stage that made them."""
        return self.space.kind.name

    def combined(self, fingerprint: str) -> str:
        """Fingerprint of a dataset that takes these beside samples with a fingerprint of their own."""
        marks = [self.space.reader(self.space.kind.folder, spec).mark for spec in self.specs]
        content = json.dumps([fingerprint, [[mark.fingerprint, mark.tar_sha256] for mark in marks]])
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def count(self) -> int:
        """How many samples :meth:`samples` yields."""
        readers = (self.space.reader(self.space.kind.folder, spec) for spec in self.specs)
        return sum(row["status"] == "ok" for reader in readers for row in reader.rows)

    def samples(self, check: Check) -> Iterator[ExportSample]:
        """Every sample with status ok, in the split of the samples that it was made of.

        Raises:
            DamagedShard: a shard cannot be read.
            UserError: another process made a shard again, or a sample was made of both splits.
        """
        for spec in self.specs:
            check()
            reader = self.space.reader(self.space.kind.folder, spec)
            if reader.mark.fingerprint != self.mark:
                raise UserError(f"{self.space.path} was made again while it was read: give the same command again")
            for record in reader.records():
                if record.row["status"] == "ok":
                    yield ExportSample(
                        key=record.key,
                        row=record.row,
                        image_png=record.files[IMAGE],
                        mask_png=record.files[MASK],
                        instances_png=record.files[INSTANCES],
                        split=self._split(record.key, record.row["sources"]),
                        media=self.media,
                    )

    def _split(self, key: str, parents: list[str]) -> Split:
        found: set[Split] = {self.side(parent) for parent in parents}
        if len(found) != 1:
            raise UserError(
                f"{self.space.path}: {key} was made of samples of both splits at --val-share {self.val_share:g}: use "
                f"the share of 'dsfactory {self.name}', or leave its samples out with --without {self.name}"
            )
        return found.pop()
