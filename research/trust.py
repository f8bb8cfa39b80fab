"""Calibrate trust: the probability that an object's IoU with the truth is at least 0.8.

    P=node_modules/@iconify-json
    python -m research.trust scenes build/trust/learnt --packages $P --styles learnt --scenes 600 --seed 501
    dsfactory refine build/trust/learnt
    dsfactory filter build/trust/learnt --witness flip
    python -m research.trust fit build/trust/learnt --out dsfactory/trust/table.json
    python -m research.trust measure build/trust/unseen --name "a style never seen" --out docs/figures/trust.json \\
        --plot docs/trust.png

`scenes` writes a run out of rendered scenes with exact masks: images, and the pocket model's attention to the classes
that it is told, as `annotate` reads it. A third of the scenes is told one class too many, as when a model leaves out a
thing that the prompt asks for. Styles: `learnt` for the ten that the model has learnt, a name, `NAME~lines` or
`NAME~hues` for art changed into a style that it never saw (see presence_study.py). What comes after are the commands of
any run. The truth is rendered again from what `scenes.json` says, and enters nothing but the comparison.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png, decode_rgb_png, encode_rgb_png
from dsfactory.core.run import CONFIG, Run
from dsfactory.core.sample import EVIDENCE, IMAGE, INSTANCES, MASK, Record, sample_key
from dsfactory.core.seeds import derive_seed
from dsfactory.core.shard import ShardWriter
from dsfactory.jobs.settings import resolve_config
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.storage.atomic import write_atomic
from dsfactory.trust.evidence import object_evidence
from dsfactory.trust.model import GOOD, TABLE, Table, fit, reliability
from dsfactory.trust.real import object_iou
from research.presence_study import stickers_of
from scripts.pocket.art import load_art
from scripts.pocket.captions import class_specs
from scripts.pocket.scenes import BACKGROUNDS, Scene, compose_scene, group_by_class
from scripts.pocket.stickers import CLASS_ICONS, Sticker
from scripts.rendered_run import begin_stage

NAMES = tuple(CLASS_ICONS)
SIZE = 128
NOTE = "scenes.json"
EXTRA = 1 / 3
"""Share of the scenes that are told one class too many."""


def art_of(packages: Path, styles: str) -> list[Sticker]:
    """The stickers of styles, separated by commas."""
    found: list[Sticker] = []
    for style in styles.split(","):
        found += load_art(packages) if style == "learnt" else stickers_of(packages, style)
    return found


def rendered(stickers: list[Sticker], count: int, seed: int) -> Iterator[tuple[Scene, tuple[str, ...]]]:
    """Scenes of one to three classes and what the model is told of each; one depends on (seed, number) alone."""
    groups = group_by_class(stickers)
    names, kinds = tuple(groups), tuple(BACKGROUNDS)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        order = [names[number % len(names)], *rng.permutation([n for n in names if n != names[number % len(names)]])]
        shown = 1 + int(rng.choice(3, p=(0.45, 0.35, 0.2)))
        scene = compose_scene(groups, tuple(order[:shown]), kinds[rng.integers(len(kinds))], rng, SIZE)
        told = order[: shown + (rng.random() < EXTRA)]
        yield scene, tuple(str(name) for name in rng.permutation(told))


def write_scenes(args: argparse.Namespace) -> None:
    """A run of rendered scenes with finished `generate` and nothing after it."""
    from research.annotate_measure import build_annotator

    annotator, stickers = build_annotator("pocket", "cpu"), art_of(args.packages, args.styles)
    specs = tuple(ClassSpec(name=name) for name in NAMES)
    scenes = rendered(stickers, args.scenes, args.seed)
    with Run.claim(args.run, specs, seed=0) as run:
        run.grow(args.scenes, 50)
        settings = {"classes": list(NAMES), "num": -(-args.scenes // len(NAMES)), "shard_size": 50}
        write_atomic(args.run / CONFIG, resolve_config(None, None, settings).to_yaml().encode())
        note = {"styles": args.styles, "scenes": args.scenes, "seed": args.seed, "packages": str(args.packages)}
        write_atomic(args.run / NOTE, json.dumps(note).encode())
        mark = begin_stage(run, GenerateStage, {"source": "rendered", "dtype": "fp32"}, "")
        for spec in run.shards():
            with ShardWriter(run.stage_folder("generate"), spec, GenerateStage.writes.schema, mark) as shard:
                for number in range(spec.start, spec.stop):
                    scene, told = next(scenes)
                    maps = annotator.evidence(annotator.noisy(scene.image, derive_seed(6, number)), class_specs(told))
                    row: dict[str, Any] = {
                        "key": sample_key(number), "number": number, "class_name": told[0], "classes": list(told),
                        "index": number // len(NAMES), "prompt": f"a {' and a '.join(told)}", "source": "rendered",
                        "seed": number, "model": "rendered", "width": SIZE, "height": SIZE, "image_seed": number,
                        "attempts": 1, "queried": ["caption"] * len(told), "status": "ok", "reason": "",
                    }  # fmt: skip
                    row |= {name: None for name in GenerateStage.writes.schema.names if name not in row}
                    files = {IMAGE: encode_rgb_png(scene.image), EVIDENCE: maps.to_bytes()}
                    shard.add(Record(row["key"], row, files))
                shard.commit()
            print(f"{spec.stop} of {args.scenes}", flush=True)


@dataclass(frozen=True)
class Known:
    """An object, what is known of it, and its IoU with the truth."""

    place: str
    evidence: dict[str, float]
    iou: float


def known_of(run: Run, stage: str) -> list[Known]:
    """All objects of a stage's labels, those of dropped samples too."""
    note = json.loads((run.path / NOTE).read_bytes())
    scenes = rendered(art_of(Path(note["packages"]), note["styles"]), note["scenes"], note["seed"])
    found: list[Known] = []
    for spec in run.finished(stage):
        pairs = zip(run.reader("generate", spec).records(), run.reader(stage, spec).records(), strict=True)
        for drawn, labels in pairs:
            scene, told = next(scenes)
            image = decode_rgb_png(drawn.files[IMAGE])
            if list(told) != drawn.row["classes"] or not np.array_equal(image, scene.image):
                raise SystemExit(f"{run.path}: {drawn.key} is not the scene that {NOTE} speaks of")
            if labels.row["status"] not in ("ok", "dropped"):
                continue
            truth = np.zeros_like(scene.labels)
            for k, name in enumerate(scene.classes, start=1):
                truth[scene.labels == k] = NAMES.index(name) + 1
            mask, instances = (decode_index_png(labels.files[name]) for name in (MASK, INSTANCES))
            maps = Evidence.from_bytes(drawn.files[EVIDENCE])
            for number, evidence in object_evidence(labels.row, NAMES, image, mask, instances, maps).items():
                pixels = instances == number
                iou = object_iou(pixels, int(mask[pixels][0]), mask, truth)
                assert iou is not None  # a scene has no void
                found.append(Known(f"{drawn.key}/{number}", evidence, iou))
    return found


BASE = ("margin", "claim", "rival", "share", "edge")
SETS = (BASE, (*BASE, "spread"), (*BASE, "spread", "flip"), (*BASE, "spread", "folds"),
        (*BASE, "spread", "flip", "folds"))  # fmt: skip
"""What each model of the table reads: refine's evidence without and with self-attention, and what filter heard."""


def fit_table(args: argparse.Namespace) -> None:
    """The table that comes along."""
    run = Run.open(args.run)
    note = json.loads((run.path / NOTE).read_bytes())
    refined, filtered = known_of(run, "refine"), known_of(run, "filter") if run.has_finished("filter") else []
    models = []
    for features in SETS:
        those = [one for one in (filtered if {*features} & {"flip", "folds"} else refined)
                 if one.evidence.keys() >= {*features}]  # fmt: skip
        if those:
            models.append(fit(features, [one.evidence for one in those], [one.iou >= GOOD for one in those]))
            print(f"{', '.join(features)}: {len(those)} objects", flush=True)
    about = (
        f"{note['scenes']} rendered scenes of the ten styles that the pocket model has learnt: its stickers, its "
        "attention. Other models and photographs are another world"
    )
    table = Table(calibrated=about, objects=len(refined), models=tuple(models))
    args.out.write_bytes(table.to_bytes())


def measure(args: argparse.Namespace) -> None:
    """How well the table's probabilities come true on another run of scenes."""
    run, table = Run.open(args.run), Table.read(args.table)
    figures: dict[str, Any] = {"machine": machine(), "scenes": json.loads((run.path / NOTE).read_bytes())}
    del figures["scenes"]["packages"]
    figures["arms"] = {}
    for stage in ("refine", "filter"):
        known = known_of(run, stage) if run.has_finished(stage) else []
        for model in table.models:
            heard = {*model.features} & {"flip", "folds"}
            those = [one for one in known if one.evidence.keys() >= {*model.features}]
            if not those or (stage == "refine") is bool(heard):
                continue
            found = reliability(model.probability([one.evidence for one in those]), [one.iou for one in those])
            figures["arms"][", ".join(model.features)] = found.as_json()
            print(f"{', '.join(model.features)}\n  {found.objects} objects, {found.right:.3f} right, mean trust "
                  f"{found.said:.3f}, ECE {found.error:.3f}; mean IoU {found.mean_iou:.3f}, upper 80 % "
                  f"{found.upper_iou:.3f}")  # fmt: skip
    every = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    every[args.name] = figures
    args.out.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
    if args.plot is not None:
        draw_plot(every, args.plot)


def draw_plot(every: dict[str, Any], path: Path) -> None:
    """Reliability diagram: what was said against what came true, a line per set of scenes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 4.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as it should be")
    for name, figures in every.items():
        arm = figures["arms"][ARM]
        said, right, _ = zip(*arm["bins"], strict=True)
        axes.plot(
            said, right, marker="o", markersize=4, label=f"{name}: ECE {arm['error']:.3f}, {arm['objects']} objects"
        )
    axes.set(xlabel="trust", ylabel="share of objects with IoU ≥ 0.8", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="upper left", fontsize=8)
    figure.savefig(path, metadata={"Software": None})


ARM = ", ".join(SETS[1])
"""What the diagram shows: what is known after refine."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("scenes")
    one.add_argument("run", type=Path)
    one.add_argument("--packages", type=Path, required=True)
    one.add_argument("--styles", default="learnt")
    one.add_argument("--scenes", type=int, default=600)
    one.add_argument("--seed", type=int, default=501)
    one.set_defaults(do=write_scenes)
    one = commands.add_parser("fit")
    one.add_argument("run", type=Path)
    one.add_argument("--out", type=Path, default=TABLE)
    one.set_defaults(do=fit_table)
    one = commands.add_parser("measure")
    one.add_argument("run", type=Path)
    one.add_argument("--name", required=True, help="of these scenes, in figures and plot")
    one.add_argument("--table", type=Path, default=TABLE)
    one.add_argument("--out", type=Path, default=Path("docs/figures/trust.json"))
    one.add_argument("--plot", type=Path)
    one.set_defaults(do=measure)
    args = parser.parse_args(argv)
    args.do(args)


if __name__ == "__main__":
    main()
