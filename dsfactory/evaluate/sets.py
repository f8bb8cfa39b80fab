"""How far two sets of images are from each other, and two sets of labels. Nothing is trained.

On image features: Fréchet distance (Heusel et al. 2017), kernel distance (Bińkowski et al. 2018), precision and recall
(Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020), Vendi score (Friedman and Dieng 2023). On labels:
how often classes come, objects per image, and size, place and outline of objects, as Wasserstein distances.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import VOID

Features: TypeAlias = NDArray[np.float32]
NEIGHBOURS = 5
KERNEL_SUBSETS, KERNEL_SIZE = 50, 1000
LEAST = 50
"""Images of a set below which a Fréchet distance says nothing."""
BLOCK = 1024


def frechet_distance(first: Features, second: Features) -> float:
    """Squared distance of two normal distributions that have the sets' means and covariances; 0 for equal sets.

    Args:
        first, second: float32 ``(images, features)``. It falls with the number of images: compare sets of equal size.
    """
    means = first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)
    one, two = (np.cov(part.astype(np.float64), rowvar=False) for part in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ two @ root).clip(0)
    return float(means @ means + np.trace(one) + np.trace(two) - 2 * np.sqrt(mixed).sum())


def kernel_distance(first: Features, second: Features, random: np.random.Generator) -> float:
    """Unbiased squared MMD with the kernel (x·y / features + 1)³, mean over random subsets; about 0 for equal sets."""
    size = min(len(first), len(second), KERNEL_SIZE)
    found = []
    for _ in range(KERNEL_SUBSETS):
        one, two = (part[random.permutation(len(part))[:size]].astype(np.float64) for part in (first, second))
        within = [(_kernel(part, part).sum() - _diagonal(part)) / (size * (size - 1)) for part in (one, two)]
        found.append(within[0] + within[1] - 2 * _kernel(one, two).mean())
    return float(np.mean(found))


def _kernel(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((one @ two.T / one.shape[1] + 1) ** 3)


def _diagonal(part: NDArray[np.float64]) -> float:
    return float(((np.square(part).sum(axis=1) / part.shape[1] + 1) ** 3).sum())


@dataclass(frozen=True)
class Overlap:
    """How two clouds of features overlap, each from 0 to 1; density may be more.

    Attributes:
        precision: share of the synthetic images that lie within a real one's neighbourhood.
        recall: share of the real images that lie within a synthetic one's neighbourhood.
        density: real neighbourhoods around a synthetic image, over the number of neighbours.
        coverage: share of the real images with a synthetic one in their neighbourhood.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(real: Features, made: Features, neighbours: int = NEIGHBOURS) -> Overlap:
    """Precision, recall, density and coverage; memory grows with one side of the matrix of distances only."""
    real_radius, made_radius = (_radii(part, neighbours) for part in (real, made))
    inside, density, reached = np.zeros(len(made), bool), np.zeros(len(made)), np.zeros(len(real), bool)
    nearest = np.full(len(real), np.inf)
    for start in range(0, len(made), BLOCK):
        part = slice(start, start + BLOCK)
        distances = _distances(made[part], real)
        near = distances < real_radius
        inside[part], density[part] = near.any(axis=1), near.sum(axis=1)
        reached |= (distances < made_radius[part, None]).any(axis=0)
        nearest = np.minimum(nearest, distances.min(axis=0))
    return Overlap(
        float(inside.mean()), float(reached.mean()), float(density.mean() / neighbours),
        float((nearest < real_radius).mean()),
    )  # fmt: skip


def nearest_distances(images: Features, others: Features) -> NDArray[np.float64]:
    """The distance of each image to the nearest of the others."""
    blocks = range(0, len(images), BLOCK)
    return np.concatenate([_distances(images[start : start + BLOCK], others).min(axis=1) for start in blocks])


def _radii(features: Features, neighbours: int) -> NDArray[np.float64]:
    blocks = range(0, len(features), BLOCK)
    kept = min(neighbours, len(features) - 1)  # itself is the nearest
    parts = (np.partition(_distances(features[start : start + BLOCK], features), kept)[:, kept] for start in blocks)
    return np.concatenate([*parts])


def _distances(one: Features, two: Features) -> NDArray[np.float64]:
    squares = np.square(one).sum(axis=1)[:, None] + np.square(two).sum(axis=1) - 2 * one @ two.T
    return np.asarray(np.sqrt(squares.astype(np.float64).clip(0)), dtype=np.float64)


def vendi_score(features: Features) -> float:
    """The number of images that differ in all, from 1 to their number: exp of the entropy of cosine similarities."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-9)
    values = np.linalg.eigvalsh((unit.T @ unit / len(unit)).astype(np.float64)).clip(0)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


@dataclass(frozen=True)
class LabelFacts:
    """What labels show, over all images of a set.

    Attributes:
        classes: objects of each class, by label id.
        of_images: by name, a value per image.
        of_objects: by name, a value per object. An object is a connected part of a class.
    """

    classes: Mapping[int, int]
    of_images: Mapping[str, NDArray[np.float64]]
    of_objects: Mapping[str, NDArray[np.float64]]


def label_facts(labels: Iterable[NDArray[np.uint8]], least: int = 16) -> LabelFacts:
    """Look at labels.

    Args:
        labels: uint8 ``(height, width)``, 0 background, 255 ignored.
        least: pixels; smaller parts are no objects.
    """
    classes: dict[int, int] = {}
    per_image: dict[str, list[float]] = {"objects": [], "ignored": []}
    per_object: dict[str, list[float]] = {"size": [], "across": [], "down": [], "outline": []}
    for mask in labels:
        height, width = mask.shape
        objects = 0
        for number in np.unique(mask[(mask != 0) & (mask != VOID)]).tolist():
            count, _, stats, centres = cv2.connectedComponentsWithStats((mask == number).astype(np.uint8))
            parts = [place for place in range(1, count) if stats[place, cv2.CC_STAT_AREA] >= least]
            outlines, _ = cv2.findContours((mask == number).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            length = sum(cv2.arcLength(line, True) for line in outlines)
            area = sum(stats[place, cv2.CC_STAT_AREA] for place in parts)
            for place in parts:
                own = float(stats[place, cv2.CC_STAT_AREA])
                per_object["size"].append(own / mask.size)
                per_object["across"].append(centres[place, 0] / width)
                per_object["down"].append(centres[place, 1] / height)
                per_object["outline"].append(length * own / area / (2 * np.sqrt(np.pi * own)))  # 1 for a disc
            classes[number] = classes.get(number, 0) + len(parts)
            objects += len(parts)
        per_image["objects"].append(objects)
        per_image["ignored"].append(float((mask == VOID).mean()))
    return LabelFacts(
        classes,
        {name: np.array(values) for name, values in per_image.items()},
        {name: np.array(values) for name, values in per_object.items()},
    )


def label_distances(first: LabelFacts, second: LabelFacts) -> dict[str, float]:
    """How far labels are from each other, by name; 0 for equal ones.

    ``classes`` is the total variation of the class frequencies, 0 to 1; all others are Wasserstein distances in the
    units of :class:`LabelFacts`.
    """
    from scipy.stats import wasserstein_distance

    totals = [max(1, sum(one.classes.values())) for one in (first, second)]
    ids = {*first.classes, *second.classes}
    shares = [abs(first.classes.get(i, 0) / totals[0] - second.classes.get(i, 0) / totals[1]) for i in ids]
    found = {"classes": sum(shares) / 2}
    for name in first.of_images:
        found[name] = float(wasserstein_distance(first.of_images[name], second.of_images[name]))
    for name in first.of_objects:
        pair = first.of_objects[name], second.of_objects[name]
        found[name] = float(wasserstein_distance(*pair)) if all(map(len, pair)) else float("nan")
    return found


def image_distances(real: Features, made: Features, random: np.random.Generator) -> dict[str, float]:
    """All distances of images by name; both sets of equal size."""
    found = {"kernel": kernel_distance(real, made, random), "vendi": vendi_score(made), **overlap(real, made).__dict__}
    return {"frechet": frechet_distance(real, made), **found} if len(real) >= LEAST else found


def repeated(
    real: Features, made: Features | None, size: int, turns: int, seed: int,
    measure: Callable[[Features, Features, np.random.Generator], dict[str, float]] = image_distances,
) -> dict[str, tuple[float, float, float]]:  # fmt: skip
    """Distances of random parts of equal size: mean, and the 2.5 and 97.5 % points over the turns, by name.

    Args:
        real: the real images' features.
        made: the others'; None for the real ones against themselves, which is the floor.
        size: images of each part; at most half the real ones.
        turns: how often.
        seed: of the parts.
        measure: of two parts.
    """
    random, found = np.random.default_rng(seed), list[dict[str, float]]()
    for _ in range(turns):
        order = random.permutation(len(real))
        other = real[order[size : 2 * size]] if made is None else made[random.permutation(len(made))[:size]]
        found.append(measure(real[order[:size]], other, random))
    return {name: _interval([one[name] for one in found]) for name in found[0]}


def _interval(values: Sequence[float]) -> tuple[float, float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(np.mean(values)), float(low), float(high)
