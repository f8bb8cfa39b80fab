"""What a network is trained on: a run's samples, real images, or both."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.segment.data import FilePlace, Image, LabelledImages, Labels, StoredImages, index_tar


@dataclass(frozen=True)
class TrainingSet:
    """Images to train on.

    Attributes:
        images: the pairs; label ids are those of the run.
        digest: hash of all that is in them.
    """

    images: LabelledImages
    digest: str


class Balanced:
    """Two sets as one from which each is drawn equally often: the smaller is repeated."""

    def __init__(self, first: LabelledImages, second: LabelledImages) -> None:
        self._sets = (first, second)

    def __len__(self) -> int:
        return 2 * max(len(part) for part in self._sets)

    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        part = self._sets[index % 2]
        return part[index // 2 % len(part)]


def both(first: TrainingSet, second: TrainingSet) -> TrainingSet:
    """The two together, each drawn equally often."""
    digest = hashlib.sha256(f"{first.digest} {second.digest}".encode()).hexdigest()
    return TrainingSet(Balanced(first.images, second.images), digest)


@dataclass(frozen=True)
class LabelledShard:
    """A finished shard of labels with the images that they belong to.

    Attributes:
        run: the run, held by its lock: its files must stay as they are.
        spec: the shard.
        images: the stage that wrote ``image.png``.
        masks: the stage that wrote ``mask.png``, and whose rows say which samples are kept.
    """

    run: Run
    spec: ShardSpec
    images: str
    masks: str

    def pairs(self) -> Iterator[tuple[FilePlace, FilePlace]]:
        """Image and mask of each sample with status ok.

        Raises:
            DamagedShard: the shard is not what its done-mark says.
        """
        images, masks = self._files(self.images, "image.png"), self._files(self.masks, "mask.png")
        for row in self.run.reader(self.masks, self.spec).rows:
            if row["status"] == "ok":
                yield images[row["key"]], masks[row["key"]]

    def content(self) -> list[str]:
        """What tells this shard's samples from others."""
        images, masks = (self.run.reader(stage, self.spec).mark for stage in (self.images, self.masks))
        return [images.tar_sha256, masks.tar_sha256, masks.rows_sha256]

    def _files(self, stage: str, name: str) -> dict[str, FilePlace]:
        self.run.reader(stage, self.spec).verify()
        return index_tar(self.run.stage_folder(stage) / self.spec.tar, name)


def stored_images(shards: Sequence[LabelledShard]) -> TrainingSet:
    """The kept samples of some shards; there may be none.

    Raises:
        DamagedShard: a shard cannot be read.
    """
    pairs = [pair for shard in shards for pair in shard.pairs()]
    content = json.dumps([shard.content() for shard in shards])
    return TrainingSet(StoredImages(pairs), hashlib.sha256(content.encode()).hexdigest())
