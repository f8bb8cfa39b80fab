"""How far objects of a run can be trusted: ``dsfactory trust``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dsfactory.core.run import Run
from dsfactory.errors import UserError
from dsfactory.jobs.samples import samples_of
from dsfactory.jobs.settings import run_config
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.storage.atomic import write_atomic
from dsfactory.storage.disk import disk_errors
from dsfactory.trust.model import GOOD, TABLE, Model, Reliability, Table, fit, reliability
from dsfactory.trust.run import FILE

FEWEST = 30
"""Objects with a known truth that a fit needs, and a tenth as many that are right and that are wrong."""
PARTS = 5
"""Of the pictures, each judged by what was fitted on the others."""
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class TrustFit:
    """What a fit found.

    Attributes:
        run: the run's directory.
        real: the labelled pictures.
        pictures: their number.
        before: how well the table that comes along speaks of them.
        after: the fitted one, each part of the pictures by a fit on the others.
    """

    run: Path
    real: Path
    pictures: int
    before: Reliability
    after: Reliability

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "run": str(self.run), "real": str(self.real)}


def fit_trust(run_path: Path, real: Path, progress: Progress) -> TrustFit:
    """Fit a run's own table on labelled pictures, and store it in the run.

    The run's model labels the pictures as ``annotate`` does, told the classes that they show. What the table that comes
    along says is believed as long as the pictures do not say otherwise: few of them change little.

    Args:
        run_path: the run's directory.
        real: folder in the layout of PASCAL VOC.
        progress: who is told.

    Raises:
        UserError: not a run, a model whose attention in a picture cannot be read, or pictures that cannot be used.
        RunLocked: another process works on the run.
    """
    from dsfactory.stages.annotate.looking import annotator_of, can_look
    from dsfactory.trust.real import known_objects

    run, config = Run.open(run_path), run_config(run_path)
    if not run.has_finished("generate") or not can_look(config, run):
        raise UserError(
            f"{run_path}: its model cannot be shown pictures: that takes a run with images, of a Stable Diffusion 1, 2 "
            "or XL model"
        )
    pictures = _pictures(real, run)
    with disk_errors(run_path, "nothing was changed"), run.lock(), run_log(run_path, "trust fit") as ended:
        annotator = annotator_of(config, run)
        progress.begin("labelled pictures", len(pictures), 0, "images")

        def advance() -> None:
            check_stop()
            progress.advance()

        settings = config.of(RefineConfig).model_copy(update={"snap": None})
        if settings.affinity == "net":  # it has learnt from the run's own images
            settings = settings.model_copy(update={"affinity": "self"})
        objects = known_objects(pictures, annotator, run.manifest.classes, settings, advance)
        right = [one.iou >= GOOD for one in objects]
        if len(objects) < FEWEST or not FEWEST / 10 <= sum(right) <= len(right) - FEWEST / 10:
            raise UserError(
                f"{real} gives {len(objects)} labelled objects, {sum(right)} of them right: a fit needs {FEWEST}, and "
                f"{FEWEST // 10} right and wrong ones: name more pictures"
            )
        shipped = Table.read(TABLE)
        evidence, iou = [one.evidence for one in objects], [one.iou for one in objects]
        prior = shipped.model_for(evidence[0])
        assert prior is not None
        table = Table(
            calibrated=f"{len(pictures)} labelled pictures of {real.name}, labelled by this run's model when told the "
            "classes",
            objects=len(objects),
            models=(fit(prior.features, evidence, right, prior),),
        )
        write_atomic(run_path / FILE, table.to_bytes())
        found = TrustFit(
            run_path, real, len(pictures), reliability(prior.probability(evidence), iou),
            reliability(_left_out(prior, evidence, right), iou),
        )  # fmt: skip
        ended |= {"exit_code": 0, "objects": len(objects)}
    return found


def _left_out(prior: Model, evidence: Sequence[dict[str, float]], right: Sequence[bool]) -> list[float]:
    """What fits on the other parts say of each object. Neighbours, of one picture, are in one part."""
    said: list[float] = []
    for part in np.array_split(np.arange(len(evidence)), PARTS):
        others = [place for place in range(len(evidence)) if place not in {*part.tolist()}]
        model = fit(prior.features, [evidence[n] for n in others], [right[n] for n in others], prior)
        said += model.probability([evidence[n] for n in part]).tolist()
    return said


def _pictures(real: Path, run: Run) -> list[Any]:
    from dsfactory.evaluate.classes import match_classes
    from dsfactory.formats.voc.folder import VocFolder

    folder = VocFolder.open(real)
    table = match_classes(run.manifest.classes, folder.names, str(real))
    lists = [name for name in ("train", "val") if (real / "ImageSets/Segmentation" / f"{name}.txt").is_file()]
    found: dict[str, Any] = {}
    for images in (folder.images(name, table) for name in lists or ("trainval",)):
        found |= {item.name: images[place] for place, item in enumerate(images.items)}
    return list(found.values())


@dataclass(frozen=True)
class TrustView:
    """How far the objects of a run can be trusted.

    Attributes:
        run: the run's directory.
        calibrated: on what.
        fitted: the table is the run's own.
        objects: of whom trust is known.
        median: of their trust, by class.
        shares: of the objects whose trust is at least so high.
    """

    run: Path
    calibrated: str
    fitted: bool
    objects: int
    median: dict[str, float]
    shares: dict[float, float]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "run": str(self.run)}


def show_trust(run_path: Path) -> TrustView:
    """Look at the trust of all kept objects of a run.

    Raises:
        UserError: not a run, not labelled yet, or labels whose trust nobody knows.
    """
    found = samples_of(run_path, 0.0, min_trust=0.0)
    if found.trust is None:
        raise UserError(f"{run_path}: nobody knows how far these labels can be trusted: 'dsfactory refine --redo' does")
    from dsfactory.core.png import decode_index_png
    from dsfactory.dataset.sample import Labels

    by_class: dict[str, list[float]] = {name: [] for name in found.trust.classes}
    for sample in found.samples():
        for instance in Labels(decode_index_png(sample.mask_png), decode_index_png(sample.instances_png)).objects():
            if instance.number in sample.trust:
                by_class[found.trust.classes[instance.category - 1]].append(sample.trust[instance.number])
    every = [value for values in by_class.values() for value in values]
    return TrustView(
        run=run_path,
        calibrated=found.trust.table.calibrated,
        fitted=(run_path / FILE).exists(),
        objects=len(every),
        median={name: median(values) for name, values in by_class.items() if values},
        shares={share: sum(value >= share for value in every) / len(every) for share in SHARES if every},
    )
