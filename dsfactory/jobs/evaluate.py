"""Train on a run, test on real images: ``dsfactory evaluate``."""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory import __version__
from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import Run
from dsfactory.core.words import counted
from dsfactory.errors import UserError
from dsfactory.evaluate.config import EvaluateConfig
from dsfactory.jobs.counting import StagePlan
from dsfactory.jobs.pace import read_pace, training_name
from dsfactory.jobs.plan import Plan
from dsfactory.jobs.samples import samples_of
from dsfactory.runner.log import LOG, log_event, run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.signals import check_stop
from dsfactory.storage.atomic import make_folder, remove_leftovers, write_atomic
from dsfactory.storage.disk import disk_errors

if TYPE_CHECKING:
    from dsfactory.evaluate.results import Results
    from dsfactory.evaluate.sources import TrainingSet
    from dsfactory.formats.voc.folder import VocImages

FOLDER = "evaluate"
TRAININGS = "trainings"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found and did.

    Attributes:
        results: the IoUs.
        out: folder of ``results.json``, ``table.md``, ``table.csv`` and ``plot.png``.
        trained: trainings that this call finished; 0 when all were there.
    """

    results: "Results"
    out: Path
    trained: int


def evaluate_job(
    run_path: Path,
    real: Path,
    config: EvaluateConfig,
    progress: Progress,
    synthetic: Path | None = None,
    without: Collection[str] = (),
    out: Path | None = None,
) -> Evaluation:
    """Train the same network on a run, on real images and on both, and test each on other real images.

    Every finished training is kept under a name that says of what and how it was made, and an unfinished one has a
    checkpoint: the same command goes on after a kill, and trains nothing twice.

    Args:
        run_path: the run's directory.
        real: folder in the layout of PASCAL VOC with a train and a val list.
        config: the network, its training, repetitions and seed.
        progress: who is told.
        synthetic: another such folder whose trainval list is trained on in place of the run's samples.
        without: names of stages that do not count; see :func:`dsfactory.jobs.samples.samples_of`.
        out: where to; None for ``<run>/evaluate``.

    Raises:
        UserError: not a run with labels, nothing kept, or a real set that cannot be read or lacks a class.
        DamagedShard: a shard cannot be read.
        RunLocked: another process works on the run.
    """
    from dsfactory.evaluate.plot import draw_plot
    from dsfactory.evaluate.results import ARMS, Results
    from dsfactory.evaluate.training import Training, versions
    from dsfactory.models.devices import choose_device

    device = choose_device(config.device)
    target = out if out is not None else run_path / FOLDER
    with disk_errors(target, "finished trainings are kept"), Run.open(run_path).lock(), \
            run_log(run_path, "evaluate") as ended:  # fmt: skip
        run = Run.open(run_path)
        classes = run.manifest.classes
        sets, test = read_sets(run, real, progress, synthetic, without)
        folder = _result_folder(target)
        parts = _parts(real, test)
        confusions: dict[str, list[Any]] = {arm: [] for arm in ARMS}
        by_part: dict[str, dict[str, list[Any]]] = {name: {arm: [] for arm in ARMS} for name in parts}
        trained = 0
        for repeat in range(config.repeats):
            for arm in ARMS:
                name = arm if config.repeats == 1 else f"{arm} {repeat + 1}/{config.repeats}"
                training = Training(arm, repeat, sets[arm], test, len(classes) + 1, config, device, folder, parts)
                report, start = _Report(name, progress), time.monotonic()
                tested, now = training.run(report)
                if now:
                    log_event(
                        "training", on=arm, repeat=repeat, steps=report.steps, side=config.segment.side,
                        batch_size=config.segment.batch_size, segmenter=config.segment.checkpoint,
                        seconds=round(time.monotonic() - start, 3),
                    )  # fmt: skip
                confusions[arm].append(tested.counts)
                for part, counts in tested.parts.items():
                    by_part[part][arm].append(counts)
                trained += now
        images = {arm: len(sets[arm].images) for arm in ("synthetic", "real")} | {"val": len(test.images)}
        settings = {
            "run": run_path.name if synthetic is None else synthetic.name,
            "real": real.name,
            "steps": config.segment.steps,
            "batch_size": config.segment.batch_size,
            "learning_rate": config.segment.learning_rate,
            "side": config.segment.side,
            "segmenter": config.segment.checkpoint,
            "repeats": config.repeats,
            "seed": config.seed,
            "device": device.type,
            "versions": {"dsfactory": __version__, **versions()},
        }
        names = ("background", *(item.name for item in classes))
        results = Results(names, confusions, images, settings, by_part)
        for file, data in (
            ("results.json", json.dumps(results.as_json(), indent=1, ensure_ascii=False).encode()),
            ("table.md", results.to_markdown().encode()),
            ("table.csv", results.to_csv().encode()),
            ("plot.png", draw_plot(results)),
        ):
            write_atomic(target / file, data)
        for path in folder.glob("*.safetensors"):  # of trainings that were given up
            path.unlink()
        ended |= {"exit_code": 0, "trained": trained}
        return Evaluation(results, target, trained)


def plan_evaluation(
    run_path: Path,
    real: Path,
    config: EvaluateConfig,
    progress: Progress,
    synthetic: Path | None = None,
    without: Collection[str] = (),
) -> Plan:
    """What :func:`evaluate_job` would do with the same arguments. Trains nothing.

    Raises:
        UserError: it would refuse.
    """
    from dsfactory.evaluate.results import ARMS

    run = Run.open(run_path)
    sets, test = read_sets(run, real, progress, synthetic, without)
    trainings = len(ARMS) * config.repeats
    pace = read_pace(run_path / LOG)
    network = config.segment
    per_step = pace.get(training_name(network.side, network.batch_size, network.checkpoint))
    seconds = round(per_step * network.steps * trainings, 1) if per_step is not None else None
    stage = StagePlan("evaluate", 0, trainings, 0, True, seconds, unit=f"trainings of {network.steps:,} steps")
    about = (
        f"{len(sets['synthetic'].images)} synthetic and {len(sets['real'].images)} real images to train on, "
        f"{len(test.images)} to test on"
    )
    note = "trainings that are finished, with the same data and settings, are used again"
    return Plan(run_path, network.checkpoint or "a small network", 0, None, None, [stage], about, (note,))


def read_sets(
    run: Run, real: Path, progress: Progress, synthetic: Path | None, without: Collection[str]
) -> "tuple[dict[str, TrainingSet], TrainingSet]":
    """What is trained on, by arm, and what is tested on; arguments as :func:`evaluate_job`.

    Raises:
        UserError: see there.
    """
    from dsfactory.evaluate.sources import both

    classes = run.manifest.classes
    train, test = _read_split(real, "train", classes, progress), _read_split(real, "val", classes, progress)
    _check_shown(real, test[1], classes, progress)
    _note_overlap(train[0], test[0], progress)
    if synthetic is not None:
        made = _as_set(*_read_split(synthetic, "trainval", classes, progress))
    else:
        made = _run_set(run, without)
    real_set = _as_set(*train)
    return {"synthetic": made, "real": real_set, "both": both(made, real_set)}, _as_set(*test)


def _parts(real: Path, test: "TrainingSet") -> dict[str, tuple[int, ...]]:
    """By condition, the places of its images in the test: those that ``val-night.txt`` lists beside ``val.txt``.

    Raises:
        UserError: such a list has no image of the test.
    """
    from dsfactory.formats.voc.folder import VocFolder, VocImages

    assert isinstance(test.images, VocImages)
    items = test.images.items
    found = {
        name: tuple(place for place, item in enumerate(items) if item.name in names)
        for name, names in VocFolder.open(real).parts("val").items()
    }
    if empty := [name for name, places in found.items() if not places]:
        raise UserError(f"no image on the list val-{empty[0]}.txt of {real} is on val.txt, which is what is tested on")
    return found


class _Report:
    """Passes a training's steps on to whoever is watching, and counts those of this process."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress, self._begun = name, progress, False
        self.steps = 0

    def __call__(self, done: int, total: int) -> None:
        check_stop()
        if self._begun:
            self.steps += 1
            self._progress.advance()
        else:
            self._progress.begin(self._name, total, done, "steps")
            self._begun = True


def _read_split(root: Path, split: str, classes: tuple[ClassSpec, ...], progress: Progress) -> "tuple[VocImages, Any]":
    from dsfactory.evaluate.classes import match_classes
    from dsfactory.formats.voc.folder import VocFolder

    folder = VocFolder.open(root)
    images = folder.images(split, match_classes(classes, folder.names, str(root)))

    def advance() -> None:
        check_stop()
        progress.advance()

    progress.begin(f"{split} of {root.name}", len(images), 0, "images")
    return images, images.summary(advance)


def _as_set(images: "VocImages", summary: Any) -> "TrainingSet":
    from dsfactory.evaluate.sources import TrainingSet

    return TrainingSet(images, summary.digest)


def _run_set(run: Run, without: Collection[str]) -> "TrainingSet":
    from dsfactory.evaluate.sources import LabelledShard, stored_images

    taken = samples_of(run.path, 0.0, without)
    images, labels = taken.kept.images.kind.folder, taken.kept.labels.kind.folder
    shards = [LabelledShard(run, spec, images, labels) for spec in taken.kept.specs]
    for composed in taken.composed:
        folder = composed.space.kind.folder
        shards += [LabelledShard(composed.space, spec, folder, folder) for spec in composed.specs]
    found = stored_images(shards)
    if len(found.images) == 0:
        raise UserError(f"{run.path} has no kept sample to train on: see 'dsfactory status {run.path}' for the reasons")
    return found


def _check_shown(root: Path, summary: Any, classes: tuple[ClassSpec, ...], progress: Progress) -> None:
    """Refuse a test without any object, and name the classes that it cannot judge."""
    missing = [item.name for number, item in enumerate(classes, start=1) if number not in summary.labels]
    if len(missing) == len(classes):
        raise UserError(f"no image on the val list of {root} shows {', '.join(missing)}: there is nothing to test on")
    if missing:
        progress.note(f"no image on the val list of {root} shows {', '.join(missing)}: left out of the means")


def _note_overlap(train: "VocImages", test: "VocImages", progress: Progress) -> None:
    shared = {item.name for item in train.items} & {item.name for item in test.items}
    if shared:
        progress.note(
            f"{counted(len(shared), 'image')} of {train.folder.root} are on both the train and the val list: "
            "what is trained on them looks better than it is"
        )


def _result_folder(target: Path) -> Path:
    """Make the folder for results and trainings, and return that of the trainings."""
    folder = target / TRAININGS
    for path in (target, folder):
        if path.is_symlink():
            raise UserError(f"{path} is a link: remove it, or name another folder with --out")
        make_folder(path)
        remove_leftovers(path)
    return folder
