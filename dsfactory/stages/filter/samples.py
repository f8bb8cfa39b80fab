"""The samples of a run that are to be judged, and how to reach their files in any order."""

import hashlib
import json
from dataclasses import dataclass

from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE, MASK
from dsfactory.segment.data import FilePlace, StoredImages, index_tar


@dataclass(frozen=True)
class Sample:
    """A sample with a mask.

    Attributes:
        key: its key.
        number: its number in the run.
        classes: names of the classes it was drawn for, the first is the one it counts for.
        area: share of the image that each of them covers, in that order.
        image, mask: where its PNG files lie.
    """

    key: str
    number: int
    classes: tuple[str, ...]
    area: tuple[float, ...]
    image: FilePlace
    mask: FilePlace


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
        samples += [
            Sample(
                row["key"], row["number"], tuple(row["classes"]), tuple(row["area"]), images[row["key"]],
                masks[row["key"]],
            )
            for row in kept
        ]  # fmt: skip
    return samples, hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:32]


def stored(samples: list[Sample]) -> StoredImages:
    """The samples' images and masks as training data that stays on disk."""
    return StoredImages([(sample.image, sample.mask) for sample in samples])
