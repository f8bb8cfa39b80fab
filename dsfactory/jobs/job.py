"""One job for all stages: make a chain of them in a run, each as far as what it reads is there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsfactory.core.chain import Step, check_step
from dsfactory.core.run import CONFIG, Run, is_run
from dsfactory.core.space import space_of
from dsfactory.core.stage import Machines, Scope, Stage
from dsfactory.errors import StopSignal, UserError
from dsfactory.jobs.naming import asks_model, check_new, first_notes, standing_notes, with_understood
from dsfactory.jobs.settings import RUNS, not_default, resolve_config, save_config
from dsfactory.jobs.steps import Planned, appended, plan_steps, settled_step
from dsfactory.jobs.summary import JobSummary
from dsfactory.runner.executors import IN_PROCESS, Engine
from dsfactory.runner.limits import UNLIMITED, Limits
from dsfactory.runner.log import run_log
from dsfactory.runner.progress import Progress, Reports
from dsfactory.runner.summary import StageSummary
from dsfactory.stages import STAGES, RunConfig
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.storage.disk import KEPT, NOTHING_KEPT, disk_errors


@dataclass(frozen=True)
class Request:
    """What a command asks for.

    Attributes:
        stages: names of the stages, in order.
        run: the run's folder; None for the name that the first stage gives it, below ``runs``.
        config_file: a ``run.yaml``, or None.
        flags: nested settings from the command line; they win over the file.
        redo: make the stages again, even if they were made with other settings.
        defaults: forget what earlier commands set for these stages.
        append: images per class to add to a run, or to begin it with; see :func:`dsfactory.jobs.steps.appended`.
        limits: when to stop before all is done.
        engine: who makes the shards.
        formats: exports that follow; only a plan reads them.
        name: what the run's log calls the job; by default as the last stage.
    """

    stages: tuple[str, ...]
    run: Path | None = None
    config_file: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    redo: bool = False
    defaults: bool = False
    append: int | None = None
    limits: Limits = UNLIMITED
    engine: Engine = field(default_factory=lambda: IN_PROCESS)
    formats: tuple[str, ...] = ()
    name: str = ""

    @property
    def kinds(self) -> list[type[Stage]]:
        """The stages."""
        return [STAGES[name] for name in self.stages]

    @property
    def makes_run(self) -> bool:
        """Whether the run may be made by this job: it begins with a source."""
        return bool(self.kinds[0].writes.roles) and not self.kinds[0].reads and not self.kinds[0].own_space

    def settings_line(self, config: RunConfig) -> list[str]:
        """What a person should know of settings that an earlier command may have made; nothing where there are none."""
        found = not_default(config, self.stages)
        return [f"settings  {', '.join(found)} (kept with the run; --defaults forgets them)"] if found else []

    def settle(self) -> tuple[Path, RunConfig]:
        """The run's folder, and its settings.

        Raises:
            UserError: the run is not there and this job makes none, or the first mistake in the settings.
        """
        if self.append is not None and ("num" in self.flags or self.redo):
            raise UserError(f"use --append or {'--redo' if self.redo else '--num'}, not both")
        if self.run is not None and not self.makes_run:
            Run.open(self.run)  # that it is not there is said before what its settings lack
        config = self._resolved(self.run)
        out = self.run
        if out is None:
            out = RUNS / self.kinds[0].run_name(config)
            config = self._resolved(out)
        if self.append is not None and not is_run(out):
            config = config.model_copy(update={"num": self.append})
        return out, config

    def _resolved(self, out: Path | None) -> RunConfig:
        forget = self.stages if self.defaults else ()
        saved = out / CONFIG if out is not None else None
        config = resolve_config(saved, self.config_file, self.flags, forget, self.kinds[0].found_classes)
        return with_understood(config, out) if self.makes_run else config

    def notes(self, config: RunConfig, there: Run | None) -> list[str]:
        """What is to be said of the classes' names before the work: some of it only when the run is begun."""
        begun = STAGES.begun(there) if there is not None else []
        if not asks_model([*self.kinds, *(item.kind for item in begun)]):
            return []
        asked = resolve_config(None, self.config_file, self.flags).classes if there is None else ()
        return [*(first_notes(asked, config) if there is None else ()), *standing_notes(config)]


@dataclass(frozen=True)
class EngineMachines(Machines):
    """What an engine knows of the machines that it works on."""

    engine: Engine
    progress: Progress

    def auto_dtype(self, device: str) -> str:
        return self.engine.auto_dtype(device, self.progress)

    def text_device(self, device: str) -> str:
        return self.engine.text_device(device)


def run_job(request: Request, progress: Progress) -> JobSummary:
    """Make a chain of stages in a run: what every command that makes something does.

    Raises:
        UserError: bad input; nothing was written.
        RunLocked: another process works on the run.
    """
    out, config = request.settle()
    try:
        return _run(request, out, config, progress)
    except StopSignal as error:
        error.kept = kept_of(out)
        raise


def kept_of(out: Path) -> str:
    """What the user has of a run that a signal or a limit stopped."""
    if not is_run(out):
        return NOTHING_KEPT
    run = Run.open(out)
    made = (item.kind for item in STAGES.begun(run) if not item.kind.inline)
    return KEPT if any(space_of(run, kind).has_finished(kind.folder) for kind in made) else NOTHING_KEPT


def _run(request: Request, out: Path, config: RunConfig, progress: Progress) -> JobSummary:
    machines = EngineMachines(request.engine, progress)
    there = open_matching(request, out, config)
    planned = plan_steps(request.kinds, config, out, there, request.redo, machines)
    for item in planned:
        if not item.stage.varying:
            item.stage.identity()  # what cannot be found is refused before anything is written
    with ExitStack() as stack:
        stack.enter_context(disk_errors(out, KEPT))
        run = stack.enter_context(_held(request, out, config))
        ended = stack.enter_context(run_log(out, request.name or request.stages[-1]))
        if request.append is not None:
            config = appended(run, config, request.append, planned[-1].stage.folder, progress.note)
        if there is not None:  # another process may have worked on it until the lock was ours
            planned = plan_steps(request.kinds, config, out, run, request.redo, machines)
        for line in (*request.notes(config, there), *(line for item in planned for line in item.notes)):
            progress.note(line)
        _make_room(run, config, planned, request.redo)
        asked = asks_model([*request.kinds, *(item.kind for item in STAGES.begun(run))])
        model = config.of(GenerateConfig).model if asked else ""
        summary = JobSummary(out, model, lines=request.settings_line(config))
        _make(run, config, planned, request, progress, summary)
        summary.given = any(item.kind.given for item in STAGES.begun(run))
        summary.kept = kept_of(out)
        ended |= summary.as_log()
        return summary


def open_matching(request: Request, out: Path, config: RunConfig) -> Run | None:
    """The run that a job works on; None where it is to be made.

    Raises:
        UserError: it is not there and this job makes none, or it is one of other classes.
    """
    with disk_errors(out, KEPT):
        if not request.makes_run:
            return Run.open(out)
        run = Run.open_matching(out, config.classes, config.seed)
        if run is None:
            check_new(config.classes)
        return run


@contextmanager
def _held(request: Request, out: Path, config: RunConfig) -> Iterator[Run]:
    """The run, held by its lock; made if this job makes it."""
    if request.makes_run:
        with Run.claim(out, config.classes, config.seed) as run:
            yield run
        return
    with Run.open(out).lock():
        yield Run.open(out)


def _make_room(run: Run, config: RunConfig, planned: Sequence[Planned], redo: bool) -> None:
    """Number the samples, save the settings, and delete what is made again: all at once, before the work.

    What a signal or a limit leaves is then finished with these settings, and nothing old is left that would refuse to
    go on without ``--redo``.
    """
    for item in planned:
        if not item.stage.own_space and (wanted := item.stage.wanted(run)):
            if redo and item.stage.taints:
                _discard_served(run, item.stage)
            item.stage.begin(run)
            run.extend(wanted, config.shard_size)
    save_config(run, config)
    if redo:
        for item in reversed(planned):
            space_of(run, type(item.stage)).discard(type(item.stage))


def _discard_served(run: Run, stage: Stage) -> None:
    """Delete what was made of a stage's shards, where fingerprints do not tell that these have changed."""
    folder = stage.folder
    state = run.stage_state(folder)
    for item in reversed(STAGES.begun(run)):
        if state is not None and state.fingerprint in item.state.upstream.split(","):
            space_of(run, item.kind).discard(item.kind)


def _make(
    run: Run,
    config: RunConfig,
    planned: Sequence[Planned],
    request: Request,
    progress: Progress,
    summary: JobSummary,
) -> None:
    """Make the stages in segments: those of one segment are made beside each other."""
    machines = EngineMachines(request.engine, progress)
    segments = segments_of(planned, run)
    with ExitStack() as early:  # workers that load a stage while the ones before are made
        for place, segment in enumerate(segments):
            first = _begun(run, config, segment[0], request.engine, progress, machines)
            # The others read it: their fingerprints are known, their inputs are still to be made.
            steps = [first, *(item.step for item in segment[1:])]
            inline = first.stage.inline
            if inline and place + 1 < len(segments):
                following = segments[place + 1][0].step
                early.enter_context(request.engine.preparing(run, following, request.limits))
            space = space_of(run, type(first.stage))
            engine = IN_PROCESS if inline else request.engine
            done = engine.run(space, steps, progress, request.limits)
            summary.stages += done
            if summary.stopped is not None:
                return
            _conclude(space, steps, done, summary, progress)


def segments_of(planned: Sequence[Planned], run: Run | None) -> list[list[Planned]]:
    """Stages that may be made beside each other, in order."""
    segments: list[list[Planned]] = []
    for item in planned:
        before = segments[-1][-1] if segments else None
        follows = (
            before is not None
            and not before.stage.inline
            and not item.stage.own_space
            and item.stage.scope(run, item.redo) is Scope.SHARD
            and any(one.kind.folder == before.stage.folder for one in item.step.serving)
        )
        if follows:
            segments[-1].append(item)
        else:
            segments.append([item])
    return segments


def _begun(run: Run, config: RunConfig, item: Planned, engine: Engine, progress: Progress, machines: Machines) -> Step:
    """A stage that is about to work: checked with what it reads, which is there now, and its artifacts made."""
    kind = type(item.stage)
    step = settled_step(kind, config, run, False, machines) if item.step.serving else item.step
    stage, space = step.stage, space_of(run, kind)
    if not item.certain:
        for line in stage.check(space, False):
            progress.note(line)
    state = run.stage_state(kind.folder)
    if state is not None and (why := stage.outdated(space, state)):
        progress.note(why)
        space.discard(kind)
    if kind.own_space:
        space.extend(stage.wanted(space), config.shard_size)
    if parts := stage.parts(space):
        run.make_stage_folder(kind.folder)
        engine.make_parts(space, stage, parts, progress)
    stage.make_artifacts(space, Reports(progress))
    settled = Step(stage, step.serving)  # its fingerprint may follow from the artifacts
    check_step(space, settled)
    return settled


def _conclude(
    space: Run, steps: Sequence[Step], done: Sequence[StageSummary], summary: JobSummary, progress: Progress
) -> None:
    """Let finished stages say what they have to say."""
    for step, made in zip(steps, done, strict=True):
        if made.samples:
            said = step.stage.conclude(space)
            summary.lines += said.lines
            summary.facts |= said.facts
            for line in said.notes:
                progress.warn(line)
