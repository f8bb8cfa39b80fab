"""What refine does about a class that was asked for and is not in the picture, on rendered scenes with exact masks.

    python -m research.absent_classes --packages build/stickers/node_modules/@iconify-json \\
        --out docs/figures/absent-classes.json

Each scene is labelled twice, as `dsfactory annotate` does: told the classes that it shows, and told one more that it
does not show, as if a model had left out a thing that the prompt asks for. Per value of `refine.min_claim`:

- `absent_left_out`: share of the absent classes that have no mask.
- `shown_lost`, `shown_lost_alone`: share of the classes shown that have no mask, with the absent one named and without.
- `miou`, `miou_alone`: IoU per class over all scenes, averaged, likewise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsfactory.core.seeds import derive_seed
from dsfactory.stages.refine.config import RefineConfig
from dsfactory.stages.refine.mask import refine_mask
from research.annotate_measure import Overlap, build_annotator, in_list, scenes_parser, write_figures
from scripts.pocket.captions import class_specs
from scripts.pocket.measure import rendered_scenes
from scripts.pocket.scenes import group_by_class
from scripts.pocket.stickers import TRAIN_STYLES, load_stickers

CLAIMS = (0.0, 0.3, 0.4, 0.45, 0.5, 0.6)


class Count:
    """What becomes of the classes at one value of `min_claim`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._masks = {"": Overlap(names), "_alone": Overlap(names)}
        self._lost = {"": [0, 0], "_alone": [0, 0]}
        self._left_out = [0, 0]

    def add(self, labels: np.ndarray, truth: np.ndarray, shown: Sequence[int], absent: int | None) -> None:
        """Count one label map: ids of the classes shown, and of the one that was named beside them."""
        part = "_alone" if absent is None else ""
        self._masks[part].add(labels, truth)
        self._lost[part][0] += sum(not (labels == k).any() for k in shown)
        self._lost[part][1] += len(shown)
        if absent is not None:
            self._left_out[0] += not (labels == absent).any()
            self._left_out[1] += 1

    def figures(self) -> dict[str, float]:
        rows = {"absent_left_out": self._left_out[0] / self._left_out[1]}
        for part, (lost, asked) in self._lost.items():
            rows[f"shown_lost{part}"] = lost / asked
            rows[f"miou{part}"] = self._masks[part].figures()["miou"]
        return rows


def main(argv: Sequence[str] | None = None) -> None:
    args = scenes_parser(__doc__, TRAIN_STYLES, scenes=60, seed=311).parse_args(argv)
    stickers = load_stickers(args.packages, tuple(args.style.split(",")))
    names = tuple(group_by_class(stickers))
    annotator = build_annotator(args.model, args.device)
    counts = {claim: Count(names) for claim in CLAIMS}
    for number, scene in enumerate(rendered_scenes(stickers, args.scenes, args.seed, args.size)):
        noisy = annotator.noisy(scene.image, derive_seed(6, number))
        others = [name for name in names if name not in scene.classes]
        extra = others[np.random.default_rng([args.seed, number]).integers(len(others))]
        truth = in_list(scene.labels, scene.classes, names)
        shown = [names.index(name) + 1 for name in scene.classes]
        for told in (scene.classes, (*scene.classes, extra)):
            evidence = annotator.evidence(noisy, class_specs(told))
            absent = names.index(extra) + 1 if extra in told else None
            for claim, count in counts.items():
                config = RefineConfig(min_claim=claim)
                mask = refine_mask(scene.image, evidence.cross, evidence.affinity, range(1, len(told) + 1), config)
                count.add(in_list(mask.labels, told, names), truth, shown, absent)
    figures: dict[str, Any] = {"model": Path(args.model).name, "style": args.style, "scenes": args.scenes}
    figures["by_min_claim"] = {str(claim): count.figures() for claim, count in counts.items()}
    for claim, row in figures["by_min_claim"].items():
        print(f"min_claim {claim:<5}" + " · ".join(f"{name} {value:.3f}" for name, value in row.items()))
    if args.out is not None:
        write_figures(args.out, figures)


if __name__ == "__main__":
    main()
