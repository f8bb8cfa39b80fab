"""A stage for dsfactory: mirrored copies of kept samples."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from dsfactory.stage import (
    COMPOSED,
    IMAGE,
    MASKS,
    Kind,
    Output,
    Record,
    Role,
    Run,
    RunSettings,
    Section,
    ShardReader,
    ShardSpec,
    Space,
    Stage,
    composed_record,
    decode_index_png,
    decode_rgb_png,
    flag,
    open_pool,
    pool_fingerprint,
)  # fmt: skip


class FlipConfig(Section):
    """Which kept samples are mirrored."""

    num: int = Field(8, ge=1, description="Mirrored samples that the run is to have.", json_schema_extra=flag("What"))


class FlipStage(Stage):
    """Mirror kept samples from left to right, with their labels."""

    name, version, kind = "flip", 1, Kind.COMPOSER
    Config = FlipConfig
    own_space = True
    reads = (Role.IMAGE, Role.LABEL)
    writes = Output((Role.IMAGE, Role.LABEL), COMPOSED, {"ok": MASKS | {IMAGE}}, bytes_per_pixel=1.9)
    varying = ("sources",)

    def __init__(self, settings: RunSettings, run: Path) -> None:
        self.config, self.settings, self.run = settings.of(FlipConfig), settings, run

    def identity(self) -> dict[str, Any]:
        names = [item.name for item in self.settings.classes]
        return {"classes": names, "sources": pool_fingerprint(self.run, self.inputs)}

    def wanted(self, run: Any) -> dict[str, int]:
        return {"all": self.config.num}

    def load(self) -> None:
        self.pool = open_pool(self.run, self.inputs, self.settings.classes)
        self.space = Space.of(Run.open(self.run), FlipStage)

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        names = [item.name for item in self.settings.classes]
        for sample in self.space.samples(shard):
            source = sample.index % len(self.pool)
            image, mask, instances = self.pool.files(source)
            row = {
                "key": sample.key, "number": sample.number, "sources": [self.pool.samples[source].key],
                "image_seed": sample.seed, "model": self.pool.model,
            }  # fmt: skip
            arrays = decode_rgb_png(image), decode_index_png(mask), decode_index_png(instances)
            yield composed_record(row, *(np.ascontiguousarray(one[:, ::-1]) for one in arrays), names)
