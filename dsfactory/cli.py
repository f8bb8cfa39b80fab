"""Commands: parse, call, print. What they do is in ``engine`` and the stages' packages.

Heavy modules are imported inside the commands, so that ``--help`` answers at once.
"""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsfactory import __version__
from dsfactory.core.errors import DsfactoryError, StopSignal, UserError

if TYPE_CHECKING:
    from dsfactory.engine.pipeline import JobSummary
    from dsfactory.export import ExportSummary

# Typer carries its own click from 0.28 on and exports only the leaf of this class.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="dsfactory",
    help="A synthetic dataset factory: class names in, a labelled segmentation dataset out.\n\n"
    "dsfactory run --classes dog,bird does everything; generate, refine and export are its steps.\n\n"
    "Exit codes: 0 done, 2 the input cannot be used, 3 finished but some samples failed, "
    "4 another process holds the run, 5 stopped by a signal (run the same command to go on), 1 a bug.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
prompts_app = typer.Typer(help="Look into the caption corpus.", no_args_is_help=True)
models_app = typer.Typer(help="The models that can draw.", no_args_is_help=True)
app.add_typer(prompts_app, name="prompts")
app.add_typer(models_app, name="models")

Classes = Annotated[str | None, typer.Option(help="Class names, separated by commas: dog,traffic light")]
ClassesFile = Annotated[
    Path | None, typer.Option(help="A file with a class per line: 'name' or 'name: synonym, synonym'.")
]
Num = Annotated[int | None, typer.Option(help="Images per class [default: 100]")]
Model = Annotated[
    str | None,
    typer.Option(help="Who draws: a preset ('dsfactory models list'), a hub id or a folder [default: pocket]"),
]
Out = Annotated[Path | None, typer.Option(help="The run's folder [default: runs/<classes>-<model>]")]
ExportOut = Annotated[
    Path | None, typer.Option(help="Where to; with several formats each gets a folder [default: <run>/export/<format>]")
]
Config = Annotated[
    Path | None, typer.Option(help="A run.yaml; flags win over it, it wins over the run's saved config.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of the run [default: 0]")]
Corpus = Annotated[
    str | None, typer.Option(help="Captions: 'coco' or a txt, csv, tsv, jsonl or parquet file [default: coco]")
]
Column = Annotated[str | None, typer.Option(help="The caption column of your corpus.")]
Objects = Annotated[str | None, typer.Option(help="Classes per image: '1' or a range such as '1-3' [default: 1]")]
Width = Annotated[int | None, typer.Option(help="Image width in pixels [default: the model's]")]
Height = Annotated[int | None, typer.Option(help="Image height in pixels [default: the model's]")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps [default: the model's]")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale [default: the model's]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 … [default: auto]")]
BatchSize = Annotated[int | None, typer.Option(help="Images drawn at once; halved by itself when memory runs out.")]
ShardSize = Annotated[int | None, typer.Option(help="Samples per shard of a new run [default: 32]")]
Threshold = Annotated[
    str | None, typer.Option(help="'auto' (chosen per image) or a number from 0 to 1 [default: auto]")
]
Crf = Annotated[str | None, typer.Option(help="The CRF's backend, or 'off' [default: auto]")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting: --set refine.void_low=0.4 (may be repeated).")
]
Format = Annotated[str, typer.Option(help="What to write, separated by commas: coco, voc")]
Redo = Annotated[
    bool, typer.Option("--redo", help="Make it again with these settings; what depends on it is made again later.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON summary instead of words.")]
RunPath = Annotated[Path | None, typer.Argument(help="The run's folder [default: the newest under ./runs]")]
ImageFormat = Annotated[
    str | None, typer.Option(help="jpg or png [default: what the format's readers expect: png for coco, jpg for voc]")
]
Rle = Annotated[
    bool, typer.Option("--rle", help="COCO segmentations as run lengths; several loaders read polygons only.")
]
ValShare = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the images that goes to the val split.")]


@app.command()
def generate(
    classes: Classes = None, classes_file: ClassesFile = None, num: Num = None, model: Model = None, out: Out = None,
    config: Config = None, seed: Seed = None, corpus: Corpus = None, column: Column = None, objects: Objects = None,
    width: Width = None, height: Height = None, steps: Steps = None, guidance: Guidance = None, device: Device = None,
    batch_size: BatchSize = None, shard_size: ShardSize = None, setting: Set = None, redo: Redo = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Find captions and draw images, keeping what attention says about every class.

    A run that was killed goes on with the same command; a larger --num adds images and changes none.
    """
    from dsfactory.engine.pipeline import generate_job
    from dsfactory.engine.progress import choose_progress

    flags = _generate_flags(locals())
    with choose_progress(as_json) as progress:
        summary = generate_job(out, config, flags, progress, redo)
    _print_job(summary, as_json, f"next: dsfactory refine {summary.run}")


@app.command()
def refine(
    run: RunPath = None, config: Config = None, threshold: Threshold = None, crf: Crf = None, setting: Set = None,
    redo: Redo = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Turn the evidence of a run into masks. Needs no GPU and draws nothing again."""
    from dsfactory.engine.pipeline import refine_job
    from dsfactory.engine.progress import choose_progress

    path = _run_path(run)
    flags = _refine_flags(locals())
    with choose_progress(as_json) as progress:
        summary = refine_job(path, config, flags, progress, redo)
    _print_job(summary, as_json, f"next: dsfactory export {path} --format coco")


@app.command()
def export(
    run: RunPath = None, format: Format = "coco", out: ExportOut = None, val_share: ValShare = 0.1,
    image_format: ImageFormat = None, rle: Rle = False, redo: Redo = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Write the finished samples as a dataset that other tools read."""
    from dsfactory.engine.exporting import export_job

    summaries = export_job(_run_path(run), format, out, val_share, redo, image_format=image_format, rle=rle)
    if as_json:
        print(json.dumps([item.as_json() for item in summaries]))
    else:
        for item in summaries:
            print(_describe_export(item))


@app.command("run")
def run_all(
    classes: Classes = None, classes_file: ClassesFile = None, num: Num = None, model: Model = None, out: Out = None,
    config: Config = None, seed: Seed = None, corpus: Corpus = None, column: Column = None, objects: Objects = None,
    width: Width = None, height: Height = None, steps: Steps = None, guidance: Guidance = None, device: Device = None,
    batch_size: BatchSize = None, shard_size: ShardSize = None, threshold: Threshold = None, crf: Crf = None,
    setting: Set = None, format: Format = "coco", val_share: ValShare = 0.1, redo: Redo = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Do everything: generate, refine, export."""
    from dsfactory.engine.exporting import check_formats, export_job
    from dsfactory.engine.pipeline import generate_job, refine_job
    from dsfactory.engine.progress import choose_progress

    given = locals()
    check_formats(format)
    with choose_progress(as_json) as progress:
        drawn = generate_job(
            out, config, _generate_flags({**given, "setting": None}) | _settings(given), progress, redo
        )
        refined = refine_job(drawn.run, config, _refine_flags(given), progress, redo)
    exports = export_job(drawn.run, format, None, val_share, redo)
    drawn.stages += refined.stages
    if as_json:
        print(json.dumps({**drawn.as_json(), "exports": [item.as_json() for item in exports]}))
        raise typer.Exit(drawn.exit_code)
    for item in exports:
        print(_describe_export(item))
    _print_job(drawn, False, "")


@app.command()
def status(run: RunPath = None, as_json: Json = False) -> None:
    """What a run holds and how far it is. May be asked while the run is being made."""
    from dsfactory.engine.pipeline import status_of

    found = status_of(_run_path(run))
    if as_json:
        print(json.dumps(found))
        return
    print(f"{found['run']}: {', '.join(found['classes'])}; {found['samples']} samples in {found['shards']} shards")
    for stage in found["stages"]:
        print(f"  {stage['stage']:<9} {stage['samples']} of {found['samples']} finished{_counts(stage)}")
    if found["exports"]:
        print(f"  exports   {', '.join(found['exports'])}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """What this machine can do: torch, device, CRF backend, disk, models at hand."""
    from dsfactory.engine.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([item.__dict__ for item in findings]))
        return
    for item in findings:
        print(f"{'ok ' if item.fine else '-- '} {item.subject:<14} {item.text}")


@prompts_app.command("search")
def prompts_search(
    word: Annotated[str, typer.Argument(help="A class name, such as dog.")],
    corpus: Corpus = None, column: Column = None,
    limit: Annotated[int, typer.Option(min=1, help="How many captions to show.")] = 20, as_json: Json = False,
) -> None:  # fmt: skip
    """Show captions that mention a class."""
    from dsfactory.core.config import parse_section
    from dsfactory.prompts.config import PromptsConfig
    from dsfactory.prompts.search import search

    given = {name: value for name, value in (("corpus", corpus), ("column", column)) if value is not None}
    found = search(word, parse_section(PromptsConfig, given, "prompts"), limit)
    if as_json:
        print(json.dumps([item.__dict__ for item in found], ensure_ascii=False))
        return
    for item in found:
        print(f"{item.source:<24} {item.text}")
    if not found:
        print(f"no caption mentions {word!r}: templates would be used")


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """The presets, and which of them are on this machine."""
    from dsfactory.models.inspect import list_models

    found = list_models()
    if as_json:
        print(json.dumps([item.as_json() for item in found]))
        return
    for item in found:
        place = "ready" if item.ready else f"to download: {item.size_mb} MB" if item.size_mb else "not here"
        print(f"{item.name:<11} {place:<22} {item.draws} ({item.licence})")


@models_app.command("check")
def models_check(
    name: Annotated[str, typer.Argument(help="A preset, a hub id or a folder.")], as_json: Json = False
) -> None:
    """Whether a model can draw here: what is missing, how big it is, which licence it has."""
    from dsfactory.models.inspect import check_model

    found = check_model(name)
    if as_json:
        print(json.dumps(found.as_json()))
        return
    facts = {
        "source": found.source,
        "family": found.family,
        "draws": found.draws,
        "licence": f"{found.licence} {found.licence_url or ''}" if found.licence else "see the model's page",
        "folder": found.path,
        "commit": found.commit,
        "size": f"{found.size_mb} MB" if found.size_mb else None,
        "missing": ", ".join(found.missing) or None,
        "refused": f"{', '.join(found.pickled)} (can run code; safetensors only)" if found.pickled else None,
    }
    print(f"{found.name}: {'ready to draw' if found.ready else 'not complete on this machine'}")
    for fact, value in facts.items():
        if value is not None:
            print(f"  {fact:<8} {value}")


def _describe_export(item: "ExportSummary") -> str:
    made = "" if item.made else " (nothing to do, it was there)"
    images = " and ".join(f"{count} {split}" for split, count in item.images.items())
    return f"{item.format:<9} {images} images with {sum(item.instances.values())} objects in {item.out}{made}"


def _version(value: bool) -> None:
    if value:
        print(f"dsfactory {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _run_path(path: Path | None) -> Path:
    from dsfactory.core.run import newest_run

    return path if path is not None else newest_run(Path("runs"))


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    from dsfactory.engine.config import merge_settings, parse_setting

    return merge_settings(*[parse_setting(text) for text in given["setting"] or []])


def _generate_flags(given: dict[str, Any]) -> dict[str, Any]:
    from dsfactory.core.config import parse_class_list, read_class_file
    from dsfactory.engine.config import merge_settings

    if given["classes"] is not None and given["classes_file"] is not None:
        raise UserError("use --classes or --classes-file, not both")
    flags: dict[str, Any] = {name: given[name] for name in ("num", "seed", "shard_size") if given[name] is not None}
    if given["classes"] is not None:
        flags["classes"] = parse_class_list(given["classes"])
    elif given["classes_file"] is not None:
        flags["classes"] = read_class_file(given["classes_file"])
    sections = {
        "prompts": ("corpus", "column", "objects"),
        "generate": ("model", "width", "height", "steps", "guidance", "device", "batch_size"),
    }
    for section, names in sections.items():
        flags[section] = {name: given[name] for name in names if given[name] is not None}
    return merge_settings(flags, _settings(given))


def _refine_flags(given: dict[str, Any]) -> dict[str, Any]:
    from dsfactory.engine.config import merge_settings

    refine: dict[str, Any] = {}
    if given["threshold"] is not None:
        refine["threshold"] = given["threshold"]
    if given["crf"] == "off":
        refine["crf_iterations"] = 0
    elif given["crf"] is not None:
        refine["crf_backend"] = given["crf"]
    return merge_settings({"refine": refine}, _settings(given))


def _print_job(summary: "JobSummary", as_json: bool, following: str) -> None:
    if as_json:
        print(json.dumps(summary.as_json()))
        raise typer.Exit(summary.exit_code)
    for stage in summary.stages:
        made = f"{stage.made} made now" if stage.made else "nothing to do, all finished earlier"
        print(f"{stage.stage:<9} {stage.samples} samples ({made}){_counts(stage.as_json())}")
        if stage.waiting:
            print(f"          {stage.waiting} samples are not drawn yet: run 'dsfactory generate' to the end first")
        for line in stage.damaged:
            print(f"          damaged: {line}")
    print(f"drawn by {summary.model} in {summary.run}")
    if summary.model == "pocket":
        print("pocket draws stickers, for trying things out: --model sd15 draws photographs")
    if following and summary.exit_code == 0:
        print(following)
    raise typer.Exit(summary.exit_code)


def _counts(stage: dict[str, Any]) -> str:
    others = {name: count for name, count in stage["statuses"].items() if name != "ok"}
    text = "".join(f", {count} {name}" for name, count in sorted(others.items()))
    reasons = sorted(stage["reasons"].items(), key=lambda item: (-item[1], item[0]))[:3]
    return text + (f" ({'; '.join(f'{count} × {reason}' for reason, count in reasons)})" if reasons else "")


def _stop(number: int, frame: object) -> None:
    raise StopSignal(signal.Signals(number).name)


def main(arguments: list[str] | None = None, command: Callable[..., Any] = app) -> None:
    """Entry point of the console script; turns errors into one line and an exit code."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        code = command(arguments, standalone_mode=False)
    except _UsageError as error:
        if not error.format_message():  # no arguments: the help was shown
            sys.exit(2)
        _fail(f"{error.format_message()} (see --help)", 2)
    except (DsfactoryError, StopSignal) as error:
        text = str(error) if not isinstance(error, StopSignal) else (
            f"stopped by {error}: finished shards are kept, run the same command again to go on"
        )  # fmt: skip
        _fail(text, error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> None:
    print(f"dsfactory: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
