"""The stage contract: a pure function from a shard of the stage before to a shard of this one."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from dsfactory.core.sample import Record
from dsfactory.core.shard import ShardReader, ShardSpec


class Stage(ABC):
    """One step of the pipeline. Its name is its command, its package and its folder in a run."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Raised whenever the algorithm changes its output, so that old and new shards never mix."""
    upstream: ClassVar[str | None]
    """The stage whose shards this one reads; None for the first."""
    schema: ClassVar[pa.Schema]
    """Columns of the row table: those of the stage before, then this stage's own."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Files of the stage's folder, beside its shards, that :meth:`identity` or :meth:`prepare` may read."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything but the upstream that decides the output's bytes, as JSON values."""

    def prepare(self) -> None:  # noqa: B027 -- most stages have nothing heavy to load
        """Load what is heavy. Called once per process, before the first shard that is not done, or early."""

    @property
    def device(self) -> str | None:
        """Where it computes: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …; None for a stage that needs no GPU."""
        return None

    def on_device(self, device: str) -> "Stage":
        """This stage anew, not prepared, on another device; the stage itself when it needs no GPU."""
        return self

    def in_run(self, run: Path) -> "Stage":
        """This stage anew, not prepared, for the run in another folder; of those that are made on several machines.

        The stage itself when it knows of no folder.
        """
        return self

    @abstractmethod
    def process(self, shard: ShardSpec, upstream: ShardReader | None) -> Iterator[Record]:
        """Yield the shard's records in sample order; same input and identity, same bytes."""


def fingerprint(stage: Stage, identity: Mapping[str, Any], upstream: str) -> str:
    """Hash of a stage's name, version, identity and of everything upstream; 32 hex digits."""
    content = {"stage": stage.name, "version": stage.version, "identity": identity, "upstream": upstream}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What changed between two identities, as ``name: old → new``, nested names joined by dots."""
    lines: list[str] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            lines.append(f"{prefix}{name}: {_short(before)} → {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
