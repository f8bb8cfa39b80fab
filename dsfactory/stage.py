"""What a stage is written with: everything that a package with a stage of its own imports."""

from dsfactory.core.chain import Input
from dsfactory.core.config import RunSettings
from dsfactory.core.flags import flag
from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_index_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import EVIDENCE, IMAGE, INSTANCES, MASK, MASKS, Record, SampleId
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.space import Space
from dsfactory.core.stage import Conclusion, Kind, Output, Reporter, Role, Scope, Stage
from dsfactory.dataset.pool import COMPOSED, SamplePool, composed_record, open_pool, pool_fingerprint
from dsfactory.errors import UserError

__all__ = [
    "COMPOSED",
    "EVIDENCE",
    "IMAGE",
    "INSTANCES",
    "MASK",
    "MASKS",
    "Conclusion",
    "Input",
    "Kind",
    "Output",
    "Record",
    "Reporter",
    "Role",
    "Run",
    "RunSettings",
    "SampleId",
    "SamplePool",
    "Scope",
    "Section",
    "ShardReader",
    "ShardSpec",
    "Space",
    "Stage",
    "UserError",
    "composed_record",
    "decode_index_png",
    "decode_rgb_png",
    "encode_index_png",
    "encode_rgb_png",
    "flag",
    "open_pool",
    "pool_fingerprint",
]
