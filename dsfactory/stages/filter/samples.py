"""The samples of a run that are to be judged, and how to reach their files in any order."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, INSTANCES, MASK
from dsfactory.segment.data import FilePlace, StoredImages, index_tar


@dataclass(frozen=True)
class Sample:
    """A sample with a mask.

    Attributes:
        key: its key.
        number: its number in the run.
        classes: names of the classes that its label shows, of those it was generated for; the first is the one it
            counts for.
        area: share of the image that each of them covers, in that order.
        image, mask, instances: where its PNG files lie.
        asked: names of all classes that it was generated for.
        domain: the conditions that it was asked for in; empty where the run has none.
    """

    key: str
    number: int
    classes: tuple[str, ...]
    area: tuple[float, ...]
    image: FilePlace
    mask: FilePlace
    instances: FilePlace
    asked: tuple[str, ...]
    domain: str = ""


def read_samples(run: Run, images_in: str, labels_in: str) -> tuple[list[Sample], str]:
    """The samples with status ok of all shards that have labels, and a digest of those shards.

    Args:
        run: the run.
        images_in: folder of the stage that made the images.
        labels_in: folder of the stage that labelled them.

    Raises:
        DamagedShard: a shard is not what its mark says.
    """
    samples: list[Sample] = []
    marks: list[list[str]] = []
    for spec in run.finished(labels_in):
        drawn, refined = run.reader(images_in, spec), run.reader(labels_in, spec)
        drawn.verify()
        refined.verify()
        marks.append([drawn.mark.tar_sha256, refined.mark.tar_sha256, refined.mark.rows_sha256])
        kept = [row for row in refined.rows if row["status"] == "ok"]
        if not kept:  # and perhaps no tar either
            continue
        images = index_tar(run.stage_folder(images_in) / spec.tar, IMAGE)
        masks = index_tar(run.stage_folder(labels_in) / spec.tar, MASK)
        instances = index_tar(run.stage_folder(labels_in) / spec.tar, INSTANCES)
        for row in kept:
            key, shown = row["key"], dict(shown_classes(row))
            places = images[key], masks[key], instances[key]
            asked, domain = (*row["classes"],), row.get("domain") or ""
            samples.append(Sample(key, row["number"], (*shown,), (*shown.values(),), *places, asked, domain))
    return samples, hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:32]


def shown_classes(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The classes of a labelled row that have a mask, and their areas; the first class alone where none has one."""
    pairs = list(zip(row["classes"], row["area"], strict=True))
    return [pair for pair in pairs if pair[1] > 0] or pairs[:1]


def stored(samples: list[Sample]) -> StoredImages:
    """The samples' images and masks as training data that stays on disk."""
    return StoredImages([(sample.image, sample.mask) for sample in samples])
