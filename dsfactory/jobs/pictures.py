"""Label given pictures: ``dsfactory annotate``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsfactory.core.config import slug
from dsfactory.core.run import CONFIG, Run, is_run
from dsfactory.errors import UserError
from dsfactory.jobs.config import RunConfig, merge_settings, resolve_config
from dsfactory.jobs.job import RUNS, JobSummary, build_stage, run_config, save_config
from dsfactory.runner.executors import IN_PROCESS, Engine
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Progress
from dsfactory.runner.scheduler import check_stage
from dsfactory.stages.annotate.images import find_images, read_image
from dsfactory.stages.annotate.pictures import (
    Picture,
    merge_pictures,
    read_image_classes,
    read_pictures,
    write_pictures,
)
from dsfactory.storage.disk import KEPT, disk_errors


def annotate_job(
    images: Path,
    out: Path | None,
    config_file: Path | None,
    flags: Mapping[str, Any],
    progress: Progress,
    redo: bool = False,
    limits: Limits = UNLIMITED,
    engine: Engine = IN_PROCESS,
) -> JobSummary:
    """Look at the pictures of a folder and keep what the model's attention sees in them.

    Given again, it goes on where it was stopped, and takes up pictures that were added. A picture's labels depend on
    its content, the classes and the settings; not on its name, its neighbours or their order.

    Args:
        images: the folder, or one picture.
        out: the run's directory; None for ``runs/<folder>-<model>``.
        config_file: a ``run.yaml``, or None.
        flags: nested settings from the command line; they win over the file.
        progress: who is told.
        redo: look at all pictures again even if that was done with other settings.
        limits: when to stop before all is done.
        engine: who looks.

    Raises:
        UserError: bad input; nothing was written.
        RunLocked: another process works on the run.
    """
    plan = plan_annotation(images, out, config_file, flags, redo)
    out, config = plan.out, plan.config
    stage = build_stage("generate", config, out, redo)
    stage.identity()
    with disk_errors(out, KEPT), Run.claim(out, config.classes, config.seed) as run, run_log(out, "annotate") as ended:
        pictures = merge_pictures(read_pictures(out), plan.found, redo)
        check_stage(run, stage, "", redo)
        if redo:
            # The masks too, and now: their fingerprint does not know which classes a picture is said to show, so
            # masks that a stop left would pass for those of what is looked at anew.
            for name in ("refine", stage.name):
                run.discard_stage(name)
        write_pictures(out, pictures)
        run.grow(len(pictures), config.shard_size)
        save_config(run, config)
        summary = JobSummary(out, config.generate.model, [engine.run_stage(run, stage, progress, False, limits)])
        ended |= {"exit_code": summary.exit_code, "made": {"generate": summary.stages[0].made}}
        return summary


@dataclass(frozen=True)
class AnnotationPlan:
    """What is to be labelled.

    Attributes:
        out: the run's directory.
        config: its settings.
        found: the pictures that are there now.
        pictures: those that the run is to have.
    """

    out: Path
    config: RunConfig
    found: list[Picture]
    pictures: tuple[Picture, ...]


def plan_annotation(
    images: Path, out: Path | None, config_file: Path | None, flags: Mapping[str, Any], redo: bool
) -> AnnotationPlan:
    """Settle what :func:`annotate_job` looks at with the same arguments. Writes nothing.

    Raises:
        UserError: bad input.
    """
    flags = merge_settings(flags, {"annotate": {"images": str(images.absolute())}})
    if out is None:
        model = resolve_config(None, config_file, flags).generate.model
        out = RUNS / f"{slug(images.absolute().stem) or 'pictures'}-{slug(model)}"
    # A run whose configuration is not there yet was killed as it began, or is beginning: its lock tells.
    if is_run(out) and (out / CONFIG).exists() and run_config(out).annotate is None:
        raise UserError(f"{out} holds drawn images: name another --out for given ones")
    config = resolve_config(out / CONFIG, config_file, flags)
    found = _find(images, out, config)
    if not is_run(out):
        _check_any(images, found)
    return AnnotationPlan(out, config, found, merge_pictures(read_pictures(out), found, redo))


def _find(images: Path, out: Path, config: RunConfig) -> list[Picture]:
    """The pictures that are there, with the classes that they are said to show.

    Raises:
        UserError: there is none, or the list of their classes cannot be used.
    """
    names = find_images(images, leave_out=out)
    assert config.annotate is not None
    if config.annotate.image_classes is None:
        return [Picture(name=name) for name in names]
    said = read_image_classes(Path(config.annotate.image_classes), config.classes)
    lost = sorted(said.keys() - set(names))
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UserError(f"{config.annotate.image_classes} names {lost[0][:100]}{more}, which is not in {images}")
    return [Picture(name=name, classes=said.get(name)) for name in names]


def _check_any(images: Path, found: list[Picture]) -> None:
    """Make sure that there is something to label before anything is written.

    Raises:
        UserError: no picture can be read.
    """
    root = images if images.is_dir() else images.parent
    reason = ""
    for picture in found:
        try:
            read_image(root / picture.name)
            return
        except ValueError as error:
            reason = reason or f"{picture.name}: {error}"
    raise UserError(f"none of the {len(found)} pictures in {images} can be read ({reason})")
