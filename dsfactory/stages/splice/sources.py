"""What splices are drawn from: kept samples as decoded scenes."""

from collections import OrderedDict

import numpy as np

from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.pool import SamplePool
from dsfactory.errors import DamagedImage, DamagedShard
from dsfactory.stages.splice.scene import Scene, decode_scene

CACHED = 64
"""Decoded samples that are kept in memory."""


class Scenes:
    """The scenes of a pool of samples.

    Args:
        pool: the samples.
    """

    def __init__(self, pool: SamplePool) -> None:
        self.pool = pool
        self._scenes: OrderedDict[int, Scene] = OrderedDict()

    def __len__(self) -> int:
        return len(self.pool)

    def scene(self, index: int) -> Scene:
        """A sample's image and labels; not to be changed in place.

        Raises:
            DamagedShard: its shard cannot be read.
        """
        scene = self._scenes.get(index)
        if scene is None:
            try:
                scene = decode_scene(*self.pool.files(index))
            except DamagedImage as error:
                raise DamagedShard(f"{self.pool.place(index)}: {error}") from error
            largest = int(np.max(scene.mask, where=scene.mask != VOID, initial=BACKGROUND))
            if largest > len(self.pool.by_class):
                raise DamagedShard(f"{self.pool.place(index)} has the class id {largest}")
            self._scenes[index] = scene
            if len(self._scenes) > CACHED:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(index)
        return scene
