"""Where each sample of an export comes from: ``provenance.csv``, and the columns of formats that have a table."""

import csv
import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split

if TYPE_CHECKING:
    from dsfactory.formats.writer import DatasetWriter

TABLE = "provenance.csv"


@dataclass(frozen=True)
class Provenance:
    """What all samples of an export have in common.

    Attributes:
        model: who drew the images, or labelled given ones, by its short name.
        page: its hub id, or what else is known of where it is from.
        revision: its commit, or a hash of its folder.
        licence: of the model, as an SPDX identifier.
        licence_url: where its terms can be read; empty when that is not known.
        adapters: LoRAs and textual inversions, each with its weight or its word.
        steps: denoising steps; None where nothing was drawn.
        guidance: classifier-free guidance scale; None where nothing was drawn.
        settings: name and value of each setting that a reader of the card should know.
        quality: sentences on what was measured.
        version: of dsfactory.
    """

    model: str
    page: str
    revision: str
    licence: str
    licence_url: str
    adapters: tuple[str, ...]
    steps: int | None
    guidance: float | None
    settings: tuple[tuple[str, str], ...]
    quality: tuple[str, ...]
    version: str


def provenance_columns(sample: ExportSample, facts: Provenance) -> dict[str, Any]:
    """What a table says of a sample beyond its key, prompt, model and seed: plain values, lists of texts.

    ``parents`` are keys of the run; ``trust`` is the least of the sample's objects, from 0 to 1, where that
    is known.
    """
    drawn = sample.media == "trainedAlgorithmicMedia"
    return {
        "synthetic": sample.synthetic,
        "digital_source_type": sample.media,
        "parents": list(sample.row.get("sources") or ()),
        "revision": facts.revision,
        "adapters": list(facts.adapters),
        "steps": facts.steps if drawn else None,
        "guidance": facts.guidance if drawn else None,
        "trust": min(sample.trust.values(), default=None),
        "corrected": sample.corrected,
    }


@dataclass
class Counts:
    """Images and objects by class and split."""

    images: Counter[tuple[int, Split]] = field(default_factory=Counter)
    objects: Counter[tuple[int, Split]] = field(default_factory=Counter)
    media: Counter[str] = field(default_factory=Counter)

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        shown = [instance.category for instance in labels.objects()]
        self.objects.update((category, split) for category in shown)
        self.images.update((category, split) for category in set(shown))
        self.media[sample.media] += 1


COLUMNS = (
    "image", "key", "split", "synthetic", "digital_source_type", "source", "parents", "model", "revision", "adapters",
    "prompt", "seed", "steps", "guidance", "trust", "corrected",
)  # fmt: skip


class Ledger:
    """Writes what an export says of its provenance: the table, the card and Croissant.

    Args:
        writer: of the dataset, whose plan has a provenance.
    """

    def __init__(self, writer: "DatasetWriter") -> None:
        assert writer.plan.provenance is not None
        self._writer, self._facts = writer, writer.plan.provenance
        self._counts = Counts()
        self._sha256 = hashlib.sha256()
        self._file = writer.stream(TABLE)
        self._line(COLUMNS)

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        """Note a sample."""
        self._counts.add(sample, labels, split)
        row = sample.row
        columns = provenance_columns(sample, self._facts) | {
            "image": self._writer.image_name(sample),
            "key": sample.key,
            "split": split,
            "source": sample.source or row.get("source", ""),
            "model": row.get("model", self._facts.model),
            "prompt": row.get("prompt", ""),
            "seed": row.get("image_seed") if sample.synthetic else None,
        }
        self._line([_cell(columns[name]) for name in COLUMNS])

    def finish(self) -> None:
        """Write the card and ``croissant.json``."""
        from dsfactory.formats.croissant import CROISSANT, croissant
        from dsfactory.formats.description import full_card

        plan = self._writer.plan
        self._writer.write("README.md", full_card(plan, self._facts, self._counts, self._writer.has_card).encode())
        content = croissant(plan, self._facts, self._counts, self._sha256.hexdigest())
        self._writer.write(CROISSANT, content)

    def _line(self, cells: Any) -> None:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(cells)
        data = line.getvalue().encode()
        self._sha256.update(data)
        self._file.write(data)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list) else value
