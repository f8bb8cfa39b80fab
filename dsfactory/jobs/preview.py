"""The prompts of a run before it is made: what ``dsfactory prompts preview`` shows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dsfactory.core.numbering import Numbering
from dsfactory.errors import UserError
from dsfactory.jobs.job import Request
from dsfactory.models.adapters import lora_triggers
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.prompts.config import ATTRIBUTES, DOMAIN, PromptsConfig
from dsfactory.stages.prompts.encoder import ModelEncoder
from dsfactory.stages.prompts.search import Supply, supply
from dsfactory.stages.prompts.stage import PromptsStage


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
    """The prompts that :func:`dsfactory.jobs.job.run_job` would draw with the same arguments.

    Raises:
        UserError: bad input, or the model, whose text encoder ranks the captions, is not on this machine.
    """
    out, config = Request(("prompts",), out, config_file, flags).settle()
    asked = config.of(PromptsConfig)
    if asked.most and (missing := PromptsStage.missing(config)) is not None:
        raise UserError(
            f"{missing.name} is not on this machine, and its text encoder ranks the captions: "
            "'generate' fetches it; --model pocket shows how another encoder ranks them"
        )

    drawing = config.of(GenerateConfig)
    encoder = ModelEncoder(drawing.model, drawing.revision, drawing.device)
    stage = PromptsStage(
        asked, config.classes, config.seed, encoder, None, config.counts, partial(lora_triggers, drawing.lora)
    )
    stage.load()
    every = Numbering(tuple(item.name for item in config.classes), 0).grown(config.counts)
    rows = [record.row for record in stage.records_of([*every.samples(0, every.total, config.seed)])]
    sources: dict[str, Counter[str]] = {item.name: Counter() for item in config.classes}
    for row in rows:
        sources[row["class_name"]][row["source"].partition(":")[0].partition("#")[0]] += 1
    wishes = {name: Counter(row[name] for row in rows) for name in (*ATTRIBUTES, DOMAIN) if rows[0].get(name)}
    return Preview(
        asked.corpus,
        rows,
        {name: dict(counts.most_common()) for name, counts in sources.items()},
        {name: dict(counts.most_common()) for name, counts in wishes.items()},
        supply(config.classes, asked) if asked.most else [],
    )
