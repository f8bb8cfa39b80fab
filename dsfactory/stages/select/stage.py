"""The select stage: a place in the order of choice for each sample."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import pyarrow as pa

from dsfactory.core.classes import ClassSpec
from dsfactory.core.config import RunSettings
from dsfactory.core.run import Run, StageState, is_run
from dsfactory.core.sample import Record
from dsfactory.core.section import Section
from dsfactory.core.shard import ShardReader, ShardSpec
from dsfactory.core.stage import Conclusion, Kind, Output, Reporter, Role, Scope, Stage
from dsfactory.dataset.pool import open_pool, pool_fingerprint
from dsfactory.errors import UserError
from dsfactory.segment.config import BUNDLED
from dsfactory.stages.select.choice import FILE, Choice, make_choice, read_choice, write_choice
from dsfactory.stages.select.config import SelectConfig

NO_GROUPS = ("key", "status", "reason")


class SelectStage(Stage):
    """A column per decision; no files.

    A sample that is not chosen has the status ``"dropped"`` here and keeps its files where they are; labels and images
    stay those of the stages before.

    Args:
        config: how many, and by what.
        classes: the run's classes.
        run_path: the run.
    """

    name: ClassVar[str] = "select"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.JUDGE
    Config: ClassVar[type[Section]] = SelectConfig
    reads: ClassVar[tuple[Role, ...]] = (Role.IMAGE, Role.LABEL)
    writes: ClassVar[Output] = Output(
        (Role.SCORE,),
        pa.schema(
            [
                ("key", pa.string()),
                ("number", pa.int64()),
                ("place", pa.int32()),
                ("selected", pa.bool_()),
                ("trust", pa.float32()),
                ("judges", pa.list_(pa.float32())),
                ("status", pa.string()),
                ("reason", pa.string()),
            ]
        ),
        bytes_per_sample=60.0,
    )
    artifacts: ClassVar[tuple[str, ...]] = (FILE,)
    needed: ClassVar[tuple[str, ...]] = (FILE,)
    varying: ClassVar[tuple[str, ...]] = ("read", "choice", "num")
    meanings: ClassVar[Mapping[str, str]] = {
        "place": "Place in the order of choice: the first n are the choice for n.",
        "trust": "How far the label is trusted: mean place in its class over the scores of the label, 1 the best.",
        "judges": "IoU of each judge's prediction with the label (select --by hard).",
    }
    requires: ClassVar[Mapping[str, str]] = {"imagehash": "filter"}

    def __init__(self, config: SelectConfig, classes: Sequence[ClassSpec], run_path: Path) -> None:
        self._config, self._classes, self._run_path = config, classes, run_path
        self._choice: Choice | None = None

    @classmethod
    def build(cls, settings: RunSettings, run: Path) -> Self:
        return cls(settings.of(SelectConfig), settings.classes, run)

    def in_run(self, run: Path) -> "SelectStage":
        return self.served_as(SelectStage(self._config, self._classes, run))

    def scope(self, run: Run | None, redo: bool) -> Scope:
        return Scope.RUN

    def identity(self) -> dict[str, Any]:
        """The settings, and what was chosen of what, as far as it has been."""
        found = read_choice(self._folder)
        made = {"read": found[0].read, "choice": found[1]} if found is not None else {}
        return {**self._config.identity(), "classes": [item.name for item in self._classes], **made}

    @property
    def _folder(self) -> Path:
        return self._run_path / self.folder

    def check(self, run: Run | None, redo: bool) -> list[str]:
        config = self._config
        if config.real is not None and not Path(config.real).is_dir():
            raise UserError(f"--real {config.real} is no folder: name one with real images")
        if config.features != BUNDLED and not Path(config.features).is_dir():
            raise UserError(
                f"there is no image model {config.features}: use {BUNDLED}, or the folder of a CLIP or DINO model"
            )
        schema = self.inputs[-1].kind.writes.schema if self.inputs else pa.schema([])
        words = [one.name for one in schema if one.type == pa.string() and one.name not in NO_GROUPS]
        if self.inputs and config.per not in ("class", "all", *words):
            raise UserError(
                f"--per {config.per}: the run has no such column of words: use class, all, {', '.join(words)}"
            )
        if config.by == "hard":
            filtered = any("iou" in item.kind.writes.schema.names for item in self.inputs)
            for path in map(Path, config.judges):
                if not path.is_dir():
                    raise UserError(f"--judges {path}: is no folder of a checkpoint, and no run")
                if is_run(path) and path.resolve() == self._run_path.resolve():
                    raise UserError(f"--judges {path}: the run's own filter is a judge already: name others")
            if filtered + len(config.judges) < 2:
                raise UserError(
                    "select --by hard: what one judge gets wrong is mostly a wrong label, so two are needed at least: "
                    "run 'dsfactory filter' first, and name checkpoints or filtered runs with --judges"
                )
        if run is not None and self.inputs:
            open_pool(run.path, self.inputs, self._classes)
        return []

    def outdated(self, run: Run, state: StageState) -> str:
        read = pool_fingerprint(run.path, self.inputs)
        if state.identity.get("read") != read:
            return "select: the kept samples have changed since: all are chosen again"
        if state.identity.get("num") != self._config.num:
            return f"select: {self._config.num} samples are asked for, {state.identity.get('num')} before"
        return ""

    def make_artifacts(self, run: Run, report: Reporter) -> None:
        """Choose, unless that is done."""
        read = pool_fingerprint(run.path, self.inputs)
        found = read_choice(self._folder)
        if found is None or found[0].read != read:
            run.discard(type(self))  # of a choice that is gone, nothing may stay
            choice = make_choice(run, self.inputs, self._classes, self._config, read, report)
            write_choice(run.make_stage_folder(self.folder), choice)

    def load(self) -> None:
        found = read_choice(self._folder)
        assert found is not None
        self._choice = found[0]

    def process(self, shard: ShardSpec, *inputs: ShardReader) -> Iterator[Record]:
        assert self._choice is not None
        for row in inputs[-1].rows:
            key = row["key"]
            place = self._choice.places.get(key)
            reason = "" if place is not None else self._choice.left.get(key, row["reason"] or row["status"])
            yield Record(
                key,
                {
                    "key": key,
                    "number": row["number"],
                    "place": place,
                    "selected": place is not None,
                    "trust": self._choice.trust.get(key),
                    "judges": self._choice.judged.get(key, []),
                    "status": "ok" if place is not None else "dropped",
                    "reason": reason,
                },
            )

    def conclude(self, run: Run) -> Conclusion:
        found = read_choice(self._folder)
        assert found is not None
        choice, inputs = found[0], self.inputs
        pool = open_pool(run.path, inputs, self._classes)
        shown = Counter(
            self._classes[sample.classes[0]].name
            for sample in pool.samples
            if sample.key in choice.places and sample.classes
        )
        classes = ", ".join(f"{name} {count}" for name, count in shown.items())
        lines = [f"{len(choice.places)} of {len(pool)} samples chosen by {self._config.by}: {classes}"]
        reasons = Counter(reason.partition(" of ")[0] for reason in choice.left.values())
        lines += [f"  {count:>6}  {reason}" for reason, count in reasons.most_common(6)]
        lines.append(f"'dsfactory export {run.path} --selected' takes them alone")
        facts = {"selected": len(choice.places), "of": len(pool), "classes": dict(shown)}
        return Conclusion(tuple(lines), facts, tuple(choice.notes))

    @classmethod
    def lost(cls, folder: Path) -> str:
        return "" if read_choice(folder) is not None else "the places that select gave"
