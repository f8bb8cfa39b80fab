"""Draw what every stage does to one image: ``python -m scripts.stage_pictures runs/tutorial --out stages.png``.

Needs a run that is refined, filtered and spliced. Every panel is read from the run or computed by the functions that
the stages call, and the final mask must be the one that the run holds. Without ``--key`` the image is the first one of
the run's first 2×2 mosaic.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsfactory.core.png import decode_index_png, decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import EVIDENCE, IMAGE, INSTANCES, MASK, VOID, Record
from dsfactory.core.space import Space
from dsfactory.crf.crf import dense_crf
from dsfactory.crf.crf_cpu import softmax
from dsfactory.crf.thumbnail import Thumbnail
from dsfactory.jobs.settings import run_config
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.contest import scaled_kernels
from dsfactory.stages.refine.fuse import nominal_side
from dsfactory.stages.refine.mask import coarse_masks, fused_maps, refine_mask
from dsfactory.stages.refine.threshold import candidate_thresholds, soft_logits, sweep_agreement
from dsfactory.stages.splice.stage import SpliceStage
from scripts.montage import COLOURS, Sample, draw_labels

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIDE = 384
"""Pixels to which the longer side of an image is scaled for the page."""
INK, FAINT = "#1d2433", "#667085"
STAGE_COLOURS = {"generate": "#2563c9", "refine": "#0f8a5f", "filter": "#b4530a", "splice": "#7a3fb8"}
COLUMNS = 5

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Steps:
    """One image on its way through a run; arrays have the image's size ``(h, w)`` unless they say otherwise.

    Attributes:
        row: the sample's row in the filter stage.
        names: the sample's classes.
        image: uint8 ``(h, w, 3)``.
        evidence: what attention says.
        sides: of the grids that are fused.
        weight: share of self-attention in the fused map.
        fused: float32 of the first class, in [0, 1].
        judged_by: what thresholds are judged by, likewise.
        coarse: bool, its cut.
        candidates: thresholds with the agreement of each.
        threshold: the chosen one.
        cut: bool, the fused map at the chosen threshold.
        after_crf: bool, the first class after the dense CRF.
        mask, instances: uint8, the refine stage's.
        network: probability of the first class, by a network that never saw this image.
        filtered: uint8, the filter stage's mask.
        splice: image, mask and instances of a splice that the image is in, and its row.
    """

    row: dict[str, Any]
    names: list[str]
    image: Picture
    evidence: Evidence
    sides: tuple[int, ...]
    weight: float
    fused: NDArray[np.float32]
    judged_by: NDArray[np.float32]
    coarse: NDArray[np.bool_]
    candidates: tuple[tuple[float, ...], NDArray[np.float64]]
    threshold: float
    cut: NDArray[np.bool_]
    after_crf: NDArray[np.bool_]
    mask: Picture
    instances: Picture
    network: NDArray[np.float32]
    filtered: Picture
    splice: tuple[Picture, Picture, Picture, dict[str, Any]]


def read_record(run: Run, stage: str, key: str) -> Record:
    """A sample as a stage left it."""
    for spec in run.shards():
        if spec in run.finished(stage):
            for record in run.reader(stage, spec).records():
                if record.key == key:
                    return record
    raise SystemExit(f"{run.path}/{stage} has no sample {key}")


def choose_splice(run: Run, key: str | None) -> Record:
    """The first 2×2 mosaic without augmentations, of those that show ``key`` if that is given."""
    space = Space.of(run, SpliceStage)
    for spec in space.shards():
        for record in space.reader(SpliceStage.folder, spec).records():
            row = record.row
            plain = row["status"] == "ok" and row["kind"] == "2x2" and not row["augmentations"]
            if plain and (key is None or key in row["sources"]):
                return record
    raise SystemExit(f"{run.path} has no 2x2 mosaic{f' of {key}' if key else ''}: dsfactory splice {run.path} --num 60")


def read_steps(run_path: Path, key: str | None) -> Steps:
    """Follow one image through a run."""
    run = Run.open(run_path)
    config = run_config(run_path).of(RefineConfig)
    mosaic = choose_splice(run, key)
    key = key or mosaic.row["sources"][0]
    drawn, refined, judged = (read_record(run, stage, key) for stage in ("generate", "refine", "filter"))
    image, evidence = decode_rgb_png(drawn.files[IMAGE]), Evidence.from_bytes(drawn.files[EVIDENCE])
    names = drawn.row["classes"]
    ids = {item.name: number for number, item in enumerate(run.manifest.classes, start=1)}
    class_ids = [ids[name] for name in names]
    mask = decode_index_png(refined.files[MASK])
    again = refine_mask(image, evidence.cross, evidence.affinity, class_ids, config)
    assert np.array_equal(again.labels, mask), "the run was refined by other code than this"
    return Steps(
        row=judged.row,
        names=names,
        image=image,
        evidence=evidence,
        sides=tuple(side for side, weight in config.resolution_weights.items() if weight),
        weight=config.affinity_weight,
        **_masks(image, evidence, config, again.thresholds),
        mask=mask,
        instances=decode_index_png(refined.files[INSTANCES]),
        network=_out_of_fold(run, image, judged.row["fold"])[class_ids[0]],
        filtered=decode_index_png(judged.files[MASK]),
        splice=(
            decode_rgb_png(mosaic.files[IMAGE]),
            decode_index_png(mosaic.files[MASK]),
            decode_index_png(mosaic.files[INSTANCES]),
            mosaic.row,
        ),
    )


def _masks(image: Picture, evidence: Evidence, config: RefineConfig, thresholds: tuple[float, ...]) -> dict[str, Any]:
    """What refine computes on its way, of the sample's first class."""
    size = (image.shape[0], image.shape[1])
    fused, judged_by = fused_maps(evidence.cross, evidence.affinity, size, config)
    coarse, kernels = coarse_masks(judged_by), scaled_kernels(config, size)
    candidates = candidate_thresholds(config.threshold_low, config.threshold_high)
    thumbnail = Thumbnail(image, kernels)
    agreement = sweep_agreement(thumbnail, fused, coarse, candidates, config.sharpness, config.crf_iterations)
    logits = soft_logits(fused, thresholds, config.sharpness)
    start = softmax(np.concatenate([np.zeros_like(logits[:1]), logits]))
    posterior = dense_crf(image, start, kernels, config.crf_iterations, config.crf_backend, thumbnail)
    return {
        "fused": fused[0],
        "judged_by": judged_by[0],
        "coarse": coarse[0],
        "candidates": (candidates, agreement[0]),
        "threshold": thresholds[0],
        "cut": start.argmax(axis=0) == 1,
        "after_crf": posterior.argmax(axis=0) == 1,
    }


def _out_of_fold(run: Run, image: Picture, fold: int) -> NDArray[np.float32]:
    """Class probabilities, background first, by the filter's network that did not learn from this fold."""
    import torch

    from dsfactory.segment.predict import predict
    from dsfactory.stages.filter.crossval import load_fold

    settings, labels = run_config(run.path).of(FilterConfig).segment, len(run.manifest.classes) + 1
    network = load_fold(run.stage_folder("filter"), fold, labels, settings, torch.device("cpu"))
    (probabilities,) = predict(network, [image], settings.side)
    return probabilities


def large(image: Picture, side: int = SIDE) -> Picture:
    """An image scaled for the page."""
    factor = side / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def heat(image: Picture, values: NDArray[np.floating], smooth: bool) -> Picture:
    """Values as colours over a pale image; ``smooth`` off shows the cells that they are known in."""
    canvas = large(image).astype(np.float32)
    grey = canvas.mean(axis=2, keepdims=True).repeat(3, axis=2)
    size = (canvas.shape[1], canvas.shape[0])
    method = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    grown = np.clip(cv2.resize(values.astype(np.float32), size, interpolation=method), 0, 1)[..., None]
    colour = plt.get_cmap("inferno")(grown[..., 0])[..., :3] * 255
    return np.asarray(0.28 * grey + 0.72 * colour, dtype=np.uint8)


def labelled(image: Picture, mask: Picture, instances: Picture, names: list[str], side: int = SIDE) -> Picture:
    """Masks over an image, an outline per object."""
    return np.asarray(draw_labels(Image.fromarray(large(image, side)), Sample(image, mask, instances, names)))  # type: ignore[arg-type]


def cut_out(image: Picture, region: NDArray[np.bool_]) -> Picture:
    """An image whose background is pale."""
    canvas = large(image).astype(np.float32)
    size = (canvas.shape[1], canvas.shape[0])
    inside = cv2.resize(region.astype(np.uint8) * 255, size, interpolation=cv2.INTER_CUBIC)[..., None] > 127
    pale = 245 - 0.16 * (255 - canvas.mean(axis=2, keepdims=True))
    result = np.where(inside, canvas, pale).astype(np.uint8)
    outlines, _ = cv2.findContours(inside[..., 0].astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(result.copy(), outlines, -1, COLOURS[0], 3, cv2.LINE_AA))


def apart(image: Picture, instances: Picture) -> Picture:
    """A colour per object."""
    numbers = [number for number in np.unique(instances) if number not in (0, VOID)]
    return labelled(image, instances, instances, [f"object {number}" for number in numbers])


def draw_page(steps: Steps) -> Any:
    """All panels on one page."""
    plt.rcParams["font.family"] = "DejaVu Sans"
    figure = plt.figure(figsize=(15.4, 11.9), facecolor="white")
    grid = figure.add_gridspec(3, COLUMNS, left=0.012, right=0.988, top=0.87, bottom=0.01, wspace=0.06, hspace=0.33)
    cells = iter([figure.add_subplot(grid[place // COLUMNS, place % COLUMNS]) for place in range(3 * COLUMNS)])

    def panel(stage: str, title: str, text: str, picture: Picture | None = None) -> Any:
        axes = next(cells)
        axes.set_title(title, loc="left", fontsize=12.5, fontweight="bold", color=INK, pad=20)
        axes.text(0, 1.022, text, transform=axes.transAxes, fontsize=9.4, color=FAINT, va="bottom")
        axes.add_patch(plt.Rectangle((0, 1.205), 1, 0.012, transform=axes.transAxes, clip_on=False,
                                     color=STAGE_COLOURS[stage], lw=0))  # fmt: skip
        axes.text(1, 1.232, stage, transform=axes.transAxes, fontsize=9.4, color=STAGE_COLOURS[stage], ha="right",
                  fontweight="bold")  # fmt: skip
        axes.set_axis_off()
        axes.set_box_aspect(1)
        if picture is not None:
            axes.imshow(picture, interpolation="lanczos")
        return axes

    name, image = steps.names[0], steps.image
    prompt = steps.row["prompt"]
    panel("generate", "1  The image", f"“{prompt[:30].strip()}{'…' if len(prompt) > 30 else ''}”", large(image))
    grids = sorted(steps.evidence.cross)[-3:]
    for place, (height, width) in enumerate(grids, start=2):
        maps = steps.evidence.cross[height, width][0].astype(np.float32)
        left_out = "" if nominal_side((height, width)) in steps.sides else ": too coarse, left out"
        panel("generate", f"{place}  Attention to “{name}”", f"{height} × {width} cells{left_out}",
              heat(image, maps / maps.max(), smooth=False))  # fmt: skip
    place = len(grids) + 2
    panel("refine", f"{place}  What judges", "self-attention, and Otsu's cut of it (line)",
          outlined(heat(image, steps.judged_by, smooth=True), steps.coarse))  # fmt: skip
    used = [f"{height}²" for height, width in grids if nominal_side((height, width)) in steps.sides]
    panel("refine", f"{place + 1}  Fused map", f"{', '.join(used)}, and {steps.weight:.0%} of self-attention",
          heat(image, steps.fused, smooth=True))  # fmt: skip
    chosen = f"{steps.threshold:.2f} is the centre of what agrees best"
    draw_candidates(panel("refine", f"{place + 2}  The threshold", chosen), steps)
    panel("refine", f"{place + 3}  Cut there", "the fused map at that threshold", cut_out(image, steps.cut))
    panel("refine", f"{place + 4}  Dense CRF", "edges move to where colours change", cut_out(image, steps.after_crf))
    void = float(np.mean(steps.mask == VOID))
    panel("refine", f"{place + 5}  Void", f"white: {void:.1%} is left out of training",
          labelled(image, steps.mask, steps.instances, [name] * 9))  # fmt: skip
    count = len(set(np.unique(steps.instances)) - {0, VOID})
    panel("refine", f"{place + 6}  Instances", f"{count} object{'' if count == 1 else 's'}",
          apart(image, steps.instances))  # fmt: skip
    draw_verdict(panel, steps, place + 7)
    spliced, mask, instances, row = steps.splice
    panel("splice", f"{place + 9}  A mosaic", f"{row['kind']} of kept images", large(spliced))
    panel("splice", f"{place + 10}  … with its mask", "composed of the masks that are there",
          labelled(spliced, mask, instances, splice_names(steps, mask, instances)))  # fmt: skip
    figure.text(0.012, 0.972, f"What each stage does to one image ({steps.row['model']} model, class “{name}”)",
                fontsize=17, fontweight="bold", color=INK, va="center")  # fmt: skip
    for axes in cells:
        axes.set_axis_off()
    return figure


def outlined(picture: Picture, region: NDArray[np.bool_]) -> Picture:
    """A picture with a region's outline."""
    size = (picture.shape[1], picture.shape[0])
    grown = cv2.resize(region.astype(np.uint8) * 255, size, interpolation=cv2.INTER_CUBIC) > 127
    outlines, _ = cv2.findContours(grown.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture.copy(), outlines, -1, (255, 255, 255), 3, cv2.LINE_AA))


def splice_names(steps: Steps, mask: Picture, instances: Picture) -> list[str]:
    """The class name of each object of the splice, in the order of ids."""
    named = dict(zip(np.unique(mask[(mask > 0) & (mask < VOID)]).tolist(), steps.splice[3]["classes"], strict=True))
    numbers = [number for number in np.unique(instances) if number not in (0, VOID)]
    return [named[int(mask[instances == number][0])] for number in numbers]


def draw_candidates(axes: Any, steps: Steps) -> None:
    """Agreement of each candidate threshold with what judges it."""
    axes = axes.inset_axes((0.16, 0.13, 0.82, 0.85))
    candidates, agreement = steps.candidates
    axes.plot(candidates, agreement, color=STAGE_COLOURS["refine"], lw=2, marker="o", ms=4, clip_on=False)
    axes.axvline(steps.threshold, color=INK, lw=1.2, ls=(0, (4, 3)))
    axes.set_xlabel("threshold", fontsize=9.4, color=FAINT, labelpad=1)
    axes.set_ylabel("IoU", fontsize=9.4, color=FAINT, labelpad=1)
    axes.tick_params(labelsize=8.5, colors=FAINT, length=2)
    axes.margins(x=0.02, y=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c5cad3")


def draw_verdict(panel: Any, steps: Steps, place: int) -> None:
    """What a network that never saw the image says, and what the filter decides."""
    row, image = steps.row, steps.image
    panel("filter", f"{place}  A second opinion", "by a network trained on other images",
          heat(image, steps.network, smooth=True))  # fmt: skip
    newly = (steps.filtered == VOID) & (steps.mask != VOID)
    verdict = "kept" if row["kept"] else f"dropped: {row['reason']}"
    name = steps.names[0]
    numbers = np.where(steps.filtered == VOID, VOID, steps.instances)
    text = f"IoU {row['iou'][0]:.2f}; {newly.mean():.1%} more pixels void"
    panel("filter", f"{place + 1}  Decision: {verdict}", text,
          labelled(image, steps.filtered, numbers, [name] * 9))  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw what every stage does to one image.")
    parser.add_argument("run", type=Path, help="a run that is refined, filtered and spliced")
    parser.add_argument("--key", help="the sample (default: the first one of the first 2x2 mosaic)")
    parser.add_argument("--out", type=Path, default=Path("stages.png"), help="PNG or JPEG (default stages.png)")
    arguments = parser.parse_args()
    steps = read_steps(arguments.run, arguments.key)
    options = {"quality": 85, "optimize": True} if arguments.out.suffix.lower() in (".jpg", ".jpeg") else {}
    draw_page(steps).savefig(arguments.out, dpi=100, pil_kwargs=options)
    print(f"{arguments.out}: sample {steps.row['key']} of {arguments.run}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
