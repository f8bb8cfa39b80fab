"""The prompts of a run before it is made: what ``dsfactory prompts preview`` shows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.core.shard import ShardSpec
from dsfactory.errors import UserError
from dsfactory.jobs.job import load_embedder, settle
from dsfactory.models.locate import find_model
from dsfactory.stages.prompts.config import ATTRIBUTES
from dsfactory.stages.prompts.search import Supply, supply
from dsfactory.stages.prompts.stage import PromptsStage

if TYPE_CHECKING:
    from dsfactory.stages.prompts.retrieve import Embedder


@dataclass(frozen=True)
class Preview:
    """What a run would ask for.

    Attributes:
        corpus: where captions are looked for.
        rows: as the prompts stage would write them, in the order of samples.
        sources: per class, how many prompts come from where.
        attributes: per steered attribute, how many prompts have which value.
        supply: what the corpus holds for each class.
    """

    corpus: str
    rows: list[dict[str, Any]]
    sources: dict[str, dict[str, int]]
    attributes: dict[str, dict[str, int]]
    supply: list[Supply]

    def as_json(self) -> dict[str, Any]:
        return {"prompts": self.rows, "sources": self.sources, "attributes": self.attributes, "corpus": self.corpus,
                "supply": [asdict(item) for item in self.supply]}  # fmt: skip


def preview_prompts(out: Path | None, config_file: Path | None, flags: Mapping[str, Any]) -> Preview:
    """The prompts that :func:`dsfactory.jobs.job.generate_job` would draw with the same arguments.

    Raises:
        UserError: bad input, or the model, whose text encoder ranks the captions, is not on this machine.
    """
    _, config = settle(out, config_file, flags)
    model = find_model(config.generate.model, config.generate.revision)
    if model is None and config.prompts.pool:
        raise UserError(
            f"{config.generate.model} is not on this machine, and its text encoder ranks the captions: "
            "'generate' fetches it; --model pocket shows how another encoder ranks them"
        )

    def embedder() -> "Embedder":
        assert model is not None
        return load_embedder(model, config.generate.device)

    stage = PromptsStage(config.prompts, config.classes, config.seed, embedder, {}, None)
    stage.prepare()
    every = ShardSpec(0, 0, config.num * len(config.classes))
    rows = [record.row for record in stage.process(every, None)]
    sources: dict[str, Counter[str]] = {item.name: Counter() for item in config.classes}
    for row in rows:
        sources[row["class_name"]][row["source"].partition(":")[0].partition("#")[0]] += 1
    wishes = {name: Counter(row[name] for row in rows) for name in ATTRIBUTES if rows[0][name] is not None}
    return Preview(
        config.prompts.corpus,
        rows,
        {name: dict(counts.most_common()) for name, counts in sources.items()},
        {name: dict(counts.most_common()) for name, counts in wishes.items()},
        supply(config.classes, config.prompts) if config.prompts.pool else [],
    )
