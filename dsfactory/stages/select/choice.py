"""The choice of a run's samples, made once: ``choice.json``, which the shards of the stage are written from."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.chain import Input
from dsfactory.core.classes import ClassSpec
from dsfactory.core.png import decode_index_png
from dsfactory.core.run import Run
from dsfactory.core.seeds import derive_seed
from dsfactory.core.stage import Reporter
from dsfactory.dataset.pictures import look_at, read_file
from dsfactory.dataset.pool import SamplePool, open_pool
from dsfactory.embed.cache import Embedded, FeatureCache
from dsfactory.embed.duplicates import near_duplicates
from dsfactory.embed.scale import Scale
from dsfactory.errors import UserError
from dsfactory.stages.annotate.images import find_images
from dsfactory.stages.select.config import SelectConfig
from dsfactory.stages.select.orders import bisecting_clusters, facility_location, in_turn, turns
from dsfactory.stages.select.trust import OF_JUDGE, OF_LABEL, trust_of
from dsfactory.stages.select.vectors import Vectors, joined, label_vector
from dsfactory.storage.atomic import write_atomic

FILE = "choice.json"
FAILS = 0.5
"""A judge fails where its IoU with the label is below this."""
HALF = 0.5

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        read: hash of the samples that there were.
        places: of the chosen samples by key, from 1.
        left: why others were not chosen, by key.
        trust: of each sample's label, from 0 to 1; empty where no stage has scored labels.
        judged: the IoU of each judge with the label, by key; only for hard.
        notes: what a person should know.
    """

    read: str
    places: dict[str, int]
    left: dict[str, str]
    trust: dict[str, float]
    judged: dict[str, list[float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_choice(folder: Path) -> tuple[Choice, str] | None:
    """The choice in a stage's folder and its hash; None when it is not there or damaged."""
    try:
        data = (folder / FILE).read_bytes()
        content = json.loads(data)
        said, digest = content["choice"], hashlib.sha256(json.dumps(content["choice"]).encode()).hexdigest()[:32]
        return (Choice(**said), digest) if digest == content["sha256"] else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_choice(folder: Path, choice: Choice) -> None:
    """Write the choice in one visible step."""
    said = json.loads(json.dumps(asdict(choice)))
    digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
    write_atomic(folder / FILE, json.dumps({"sha256": digest, "choice": said}, indent=0).encode())


@dataclass
class Candidates:
    """The samples that may be chosen: those that the run keeps, in the order of their keys.

    Attributes:
        pool: the samples.
        keys: of each.
        groups: what each takes its turn in.
        classes: the class that each counts for: the first that its label shows.
        rows: of the stage whose labels count.
        vectors: float32 ``(samples, features)`` of length 1: image and label.
        images: float32 ``(samples, features)``: what the network says of the images.
        hashes: uint8 ``(samples, 32)``.
    """

    pool: SamplePool
    keys: list[str]
    groups: list[str]
    classes: list[str]
    rows: Sequence[Mapping[str, Any]]
    vectors: Vectors
    images: Vectors
    hashes: NDArray[np.uint8]


def make_choice(
    run: Run, inputs: Sequence[Input], classes: Sequence[ClassSpec], config: SelectConfig, read: str, report: Reporter
) -> Choice:
    """Choose.

    Args:
        run: the run; its labels are finished.
        inputs: the stages of its images and of its labels.
        classes: the run's.
        config: how many, and by what.
        read: hash of the samples.
        report: told about progress.

    Raises:
        UserError: there is nothing to choose from, or the settings do not fit the run.
        DamagedShard: a shard cannot be read.
    """
    cache = FeatureCache(run, inputs[0].kind.folder, config.features)
    found = _candidates(run, inputs, [item.name for item in classes], config, cache, report)
    columns = OF_LABEL if config.by == "hard" else (*OF_LABEL, *OF_JUDGE)
    trust = trust_of(found.rows, found.classes, columns)
    for place, key in enumerate(found.keys):  # what a person has corrected is right
        if trust is not None and key in found.pool.corrected:
            trust[place] = 1.0
    left: dict[str, str] = {}
    judged: NDArray[np.float64] | None = None
    if config.by == "hard":
        from dsfactory.stages.select.hard import judge_samples

        judged = judge_samples(run, found, [item.name for item in classes], config.judges, report)
    members = np.flatnonzero(np.isfinite(found.images).all(axis=1))
    for place in {*range(len(found.keys))} - {*members.tolist()}:
        left[found.keys[place]] = "its features are no numbers"
    members = _trusted(members, found, trust, config, left)
    if config.by != "random":
        members = _distinct(members, found, trust, config.duplicate_distance, left)
    if judged is not None:
        members = members[(judged[members] < FAILS).all(axis=1)]
    order = _order(members, found, judged, config, run.manifest.seed, cache, report)
    places = {found.keys[place]: number for number, place in enumerate(order, start=1)}
    for key in found.keys:
        if key not in places:
            left.setdefault(key, "another was chosen" if judged is None else "not all judges fail")
    notes: tuple[str, ...] = ()
    if len(places) < config.num:
        notes = (f"select: {len(places)} samples can be chosen, {config.num} are asked for",)
    said_trust = (
        {} if trust is None else {key: round(float(one), 6) for key, one in zip(found.keys, trust, strict=True)}
    )
    said_judged = {} if judged is None else {
        key: [round(float(one), 6) for one in line] for key, line in zip(found.keys, judged, strict=True)
    }  # fmt: skip
    return Choice(read, places, left, said_trust, said_judged, notes)


def _candidates(
    run: Run, inputs: Sequence[Input], classes: Sequence[str], config: SelectConfig, cache: FeatureCache,
    report: Reporter,
) -> Candidates:  # fmt: skip
    pool = open_pool(run.path, inputs, run.manifest.classes)
    if not len(pool):
        raise UserError(f"{run.path} has no kept sample to choose from: see the reasons with 'dsfactory status'")
    labels = inputs[-1].kind.folder
    rows = {row["key"]: row for spec in run.finished(labels) for row in run.reader(labels, spec).rows}
    embedded = cache.of_run(report)
    keys = [sample.key for sample in pool.samples]
    images, hashes, said = [], [], []
    for place, sample in enumerate(pool.samples):
        spec, one = embedded[sample.shard.name]
        number = rows[sample.key]["number"] - spec.start
        images.append(one.features[number])
        hashes.append(one.hashes[number])
        _, mask, instances = pool.files(place)
        said.append(label_vector(decode_index_png(mask), decode_index_png(instances), len(classes)))
        if place % 256 == 0:
            report("labels", place, len(pool))
    report("labels", len(pool), len(pool))
    counts_for = [classes[sample.classes[0]] if sample.classes else "" for sample in pool.samples]
    own = [rows[key] for key in keys]
    groups = counts_for if config.per == "class" else [str(row.get(config.per) or "") for row in own]
    features, labelled = np.stack(images), np.stack(said)
    finite = np.isfinite(features).all(axis=1)
    if not finite.any():
        raise UserError(f"the features of {config.features} are no numbers: use another --features")
    scaled = Scale(features[finite])(features)
    vectors = joined(scaled, Scale(labelled)(labelled), config.label_weight)
    return Candidates(pool, keys, groups, counts_for, own, vectors, features, np.stack(hashes))


def _trusted(
    members: NDArray[np.int64], found: Candidates, trust: NDArray[np.float64] | None, config: SelectConfig,
    left: dict[str, str],
) -> NDArray[np.int64]:  # fmt: skip
    """Without the least trusted share of each class."""
    share = {"random": 0.0, "hard": HALF}.get(config.by, config.trust)
    if trust is None or not share:
        return members
    kept = []
    for name in {*found.classes}:
        own = members[[found.classes[place] == name for place in members]]
        limit = np.sort(trust[own])[int(share * len(own))] if len(own) else 0.0
        cut = own[trust[own] < limit]
        left |= {found.keys[place]: f"among the {share:.0%} of {name} with the least trusted labels" for place in cut}
        kept += own[trust[own] >= limit].tolist()
    return np.array(sorted(kept), dtype=np.int64)


def _distinct(
    members: NDArray[np.int64], found: Candidates, trust: NDArray[np.float64] | None, distance: float,
    left: dict[str, str],
) -> NDArray[np.int64]:  # fmt: skip
    """Without near-copies: of two alike the more trusted stays."""
    worth = np.zeros(len(found.keys)) if trust is None else trust
    order = sorted(members.tolist(), key=lambda place: (-worth[place], place))
    repeats = near_duplicates([one.tobytes() for one in found.hashes], order, distance)
    left |= {found.keys[one]: f"nearly a copy of {found.keys[other]}" for one, other in repeats.items()}
    return np.array([place for place in members.tolist() if place not in repeats], dtype=np.int64)


def _order(
    members: NDArray[np.int64], found: Candidates, judged: NDArray[np.float64] | None, config: SelectConfig, seed: int,
    cache: FeatureCache, report: Reporter,
) -> list[int]:  # fmt: skip
    """Places of the chosen samples among the candidates, best first."""
    names = list(dict.fromkeys(found.groups))
    groups = [members[[found.groups[place] == name for place in members]] for name in names]
    real = _real(config, cache, found, report) if config.by == "near-real" else None

    def sorted_by(own: NDArray[np.int64], worth: Callable[[int], float]) -> list[int]:
        return sorted(own.tolist(), key=lambda place: (worth(place), place))

    orders = []
    for done, (own, count) in enumerate(zip(groups, turns([len(own) for own in groups], config.num), strict=True)):
        report("choice", done, len(groups))
        vectors = found.vectors[own]
        if config.by == "random":
            orders.append(sorted_by(own, lambda place: derive_seed(seed, "select", found.keys[place])))
        elif judged is not None:
            orders.append(sorted_by(own, lambda place: float(judged[place].mean())))
        elif config.by == "cluster":
            orders.append(own[bisecting_clusters(vectors, count)].tolist())
        elif real is not None:
            mine, clients = real
            orders.append(own[facility_location(mine[own], clients, count)].tolist())
        else:
            orders.append(own[facility_location(vectors, vectors, count)].tolist())
    report("choice", len(groups), len(groups))
    return in_turn(orders, config.num)


def _real(config: SelectConfig, cache: FeatureCache, found: Candidates, report: Reporter) -> tuple[Vectors, Vectors]:
    """The samples' images and the real ones, on one scale."""
    assert config.real is not None
    real = embedded_folder(Path(config.real), cache, "real", report)
    features = real.features[np.isfinite(real.features).all(axis=1)]
    if not len(features):
        raise UserError(f"no image of {config.real} can be read")
    images = np.nan_to_num(found.images)
    scale = Scale(np.vstack([images, features]))
    return scale(images), scale(features)


def embedded_folder(folder: Path, cache: FeatureCache, name: str, report: Reporter) -> Embedded:
    """The features of the images in a folder; NaN for those that cannot be read.

    Raises:
        UserError: there are none.
    """
    images = [folder / one for one in find_images(folder, folder / ".none")]
    return cache.of_images(name, images, lambda path: look_at(read_file(path)).pixels, report, f"features of {name}")
