"""Labels of the same images by several hands: runs, exports and folders of other tools, by file name."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.chain import offers
from dsfactory.core.classes import slug
from dsfactory.core.png import decode_index_png, encode_index_png
from dsfactory.core.run import Run, is_run
from dsfactory.core.sample import VOID
from dsfactory.core.stage import Role
from dsfactory.dataset.labels import images_and_labels
from dsfactory.dataset.own_files import OwnFiles
from dsfactory.errors import UserError
from dsfactory.formats import IMPORT_FORMATS
from dsfactory.formats.coco.read import read_categories
from dsfactory.formats.folder import FolderTarget
from dsfactory.formats.manifest import MANIFEST
from dsfactory.formats.reading.detect import format_of
from dsfactory.formats.reading.images import decode, rgb_pixels
from dsfactory.formats.reading.labels import Expected, Unread
from dsfactory.formats.reading.source import Source
from dsfactory.formats.voc.folder import VOC_CLASSES
from dsfactory.formats.voc.layout import LABELMAP, VOID_NAMES, parse_labelmap
from dsfactory.jobs.samples import RunSamples, samples_of
from dsfactory.stages import STAGES

Ids = NDArray[np.uint8]


@dataclass
class Labelling:
    """One hand's labels.

    Attributes:
        name: as the user gave it.
        classes: names; the first has id 1. None where the files do not say.
        masks: palette PNGs of class ids by the image's name: its path without extension.
        unread: images whose labels cannot be used, with the reason.
        marks: fingerprints of the stages that made its labels, beside the images; empty for what is no run's.
        images_at: file of each image by its name, where there is one.
        run: the run's samples; None for other folders.
    """

    name: str
    path: Path
    classes: list[str] | None = None
    masks: dict[str, bytes] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()
    images_at: dict[str, str] = field(default_factory=dict)
    run: RunSamples | None = None

    def mask(self, name: str) -> Ids:
        """uint8 ``(height, width)`` of class ids; 0 background, 255 ignored."""
        return decode_index_png(self.masks[name])

    def pictures(self, names: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
        """The images of some names, uint8 ``(height, width, 3)``, as far as they are there."""
        found: dict[str, NDArray[np.uint8]] = {}
        if self.run is not None:
            for sample in self.run.exported(OwnFiles(self.run.files)):
                if sample.name in names:
                    found[sample.name] = rgb_pixels(decode(sample.upright_png()))
            return found
        with Source.open(self.path) as source:
            for name in names:
                if name in self.images_at:
                    try:
                        found[name] = rgb_pixels(decode(source.read(self.images_at[name])))
                    except ValueError:
                        continue
        return found


def read_labellings(names: Sequence[str]) -> list[Labelling]:
    """The labels of several hands, with one list of classes: those that all of them know.

    Args:
        names: paths of runs, exports, and folders, zips or files of other tools. ``RUN@STAGE`` are the labels of a run
            as they were after that stage.

    Raises:
        UserError: one cannot be read, two are one, or no class is in all of them.
    """
    if len({os.path.realpath(name) for name in names}) < len(names):
        raise UserError("the same is named twice: compare two or more different ones")
    found = [_opened(name) for name in names]
    known = [one.classes for one in found if one.classes]
    if not known:
        raise UserError("none of them says which classes its masks show: name a run, an export, a VOC or a COCO folder")
    for one in found:
        if one.classes is None:
            one.classes = known[0]
        if one.run is None:
            _read_folder(one)
        else:
            _read_run(one, one.run)
        if not one.masks:
            why = next((f": {name} {reason}" for name, reason in one.unread.items()), "")
            raise UserError(f"{one.name} has no labels that can be read{why}")
    _share_classes(found)
    _share_names(found)
    return found


def _opened(name: str) -> Labelling:
    path, _, stage = name.rpartition("@") if "@" in name and not Path(name).exists() else (name, "", "")
    place = Path(path)
    if stage or is_run(place):
        return _of_run(name, place, stage)
    one = Labelling(name, place)
    with Source.open(place) as source:
        one.classes = _classes_in(source, place)
    if is_run(place.resolve().parent.parent):  # an export that stands in its run
        one.marks = _of_run(name, place.resolve().parent.parent, "").marks
    return one


def _of_run(name: str, path: Path, stage: str) -> Labelling:
    run = Run.open(path)
    begun = STAGES.begun(run)
    without = [item.kind.name for item in begun if item.kind.own_space]
    if stage:
        labelers = [item.kind.name for item in begun if Role.LABEL in item.kind.writes.roles]
        if stage not in labelers:
            raise UserError(f"{name}: the labels of {path} were made by {', '.join(labelers) or 'no stage yet'}")
        without += labelers[labelers.index(stage) + 1 :]
    _, labels = images_and_labels(run, begun, without)
    made = {item.mark: item for item in offers(run, begun)}
    chain = {labels.mark, *labels.lineage}
    marks = {mark for mark in chain if mark in made and {*made[mark].kind.writes.roles} & {Role.ATTENTION, Role.LABEL}}
    classes = [item.name for item in run.manifest.classes]
    return Labelling(name, path, classes, marks=frozenset(marks), run=samples_of(path, 0.0, without))


def _read_run(one: Labelling, found: RunSamples) -> None:
    for sample in found.exported(OwnFiles(found.files)):
        one.masks[sample.name] = sample.mask_png


def _classes_in(source: Source, path: Path) -> list[str] | None:
    """The classes that files name, in the order of their ids; None where they do not."""
    manifest = FolderTarget(path).manifest() if (path / MANIFEST).is_file() else None
    if manifest is not None:
        return list(manifest["classes"])
    kind = format_of(source)
    if kind == "coco":
        return read_categories(source)
    if kind != "voc":
        return None
    maps = source.find(LABELMAP)
    if not maps:
        return list(VOC_CLASSES[1:])
    labels = parse_labelmap(source.read(maps[0]).decode("utf-8-sig", errors="replace"), f"{path}: {maps[0]}")
    return [name for name, _ in labels if name.lower() not in ("background", *VOID_NAMES)]


def _read_folder(one: Labelling) -> None:
    assert one.classes is not None
    with Source.open(one.path) as source:
        for labels in IMPORT_FORMATS[format_of(source)].reader()(source, Expected(one.classes)):
            name = _plain(labels.name)
            if isinstance(labels, Unread):
                one.unread[name] = labels.reason
            elif labels.doubt:
                one.unread[name] = labels.doubt
            else:
                one.masks[name] = encode_index_png(labels.mask)
                if labels.image is not None:
                    one.images_at[name] = labels.image


def _plain(name: str) -> str:
    """A file name without extension and without the folders in which formats keep masks and images."""
    parts = PurePosixPath(name.replace("\\", "/")).with_suffix("").parts
    known = {"SegmentationClass", "ann_dir", "images", "train", "val", "JPEGImages", "img_dir"}
    last = max((place for place, part in enumerate(parts[:-1]) if part in known), default=-1)
    return "/".join(parts[last + 1 :])


def _share_classes(found: Sequence[Labelling]) -> None:
    """Number the classes that all know alike; what only some know counts as background."""
    lists = [one.classes or [] for one in found]
    common = [name for name in lists[0] if all(slug(name) in map(slug, other) for other in lists[1:])]
    if not common:
        said = "; ".join(f"{one.name}: {', '.join((one.classes or [])[:8])}" for one in found)
        raise UserError(f"no class is in all of them ({said})")
    ids = {slug(name): number for number, name in enumerate(common, start=1)}
    for one in found:
        if one.classes != common:
            table: Ids = np.zeros(256, np.uint8)
            table[VOID] = VOID
            for number, name in enumerate(one.classes or (), start=1):
                table[number] = ids.get(slug(name), 0)
            one.masks = {name: encode_index_png(table[decode_index_png(data)]) for name, data in one.masks.items()}
        one.classes = common


def _share_names(found: Sequence[Labelling]) -> None:
    """Match images by name; where no name is in all, by name without folders."""
    if set.intersection(*({*one.masks} for one in found)):
        return
    for one in found:
        bare = [PurePosixPath(name).name for name in one.masks]
        if len({*bare}) == len(bare):
            one.masks = dict(zip(bare, one.masks.values(), strict=True))
            one.images_at = {PurePosixPath(name).name: at for name, at in one.images_at.items()}
            one.unread = {PurePosixPath(name).name: why for name, why in one.unread.items()}
