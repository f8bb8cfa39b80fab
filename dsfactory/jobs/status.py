"""What a run holds: ``dsfactory status``."""

from pathlib import Path
from typing import Any

from dsfactory.core.run import Run
from dsfactory.core.space import space_of
from dsfactory.dataset.corrections import Corrections
from dsfactory.dataset.labels import finished_shards
from dsfactory.errors import DamagedShard
from dsfactory.runner.summary import StageSummary
from dsfactory.stages import STAGES


def status_of(run_path: Path) -> dict[str, Any]:
    """What a run holds: per stage how many samples are finished and with which status, and which shards are damaged.

    Sees finished shards only, so it may be asked while another process works on the run.
    """
    run = Run.open(run_path)
    stages = []
    for item in STAGES.begun(run):
        folder = item.kind.folder
        space = space_of(run, item.kind)
        summary = StageSummary(folder)
        for spec in finished_shards(space, folder):
            try:
                summary.count(space.reader(folder, spec).rows)
            except DamagedShard as error:
                summary.damaged.append(str(error))
        stages.append({"stage": folder, "samples": summary.samples, "of": space.total,
                       "statuses": dict(summary.statuses), "reasons": dict(summary.reasons),
                       "damaged": summary.damaged})  # fmt: skip
    corrections = Corrections.of(run_path)
    return {
        "run": str(run_path),
        "classes": [item.name for item in run.manifest.classes],
        "samples": run.total,
        "shards": len(run.manifest.shards),
        "stages": stages,
        "corrections": len(corrections.entries),
        "decisions": corrections.decisions,
        "exports": sorted(path.name for path in (run_path / "export").glob("*") if not path.name.startswith(".")),
    }
