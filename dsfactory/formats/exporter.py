"""Export finished samples to a dataset format."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.core.stage import differences
from dsfactory.dataset.sample import ExportSample, read_labels
from dsfactory.dataset.split import SPLITS, side_of
from dsfactory.errors import UserError
from dsfactory.formats import find_format
from dsfactory.formats.folder import FolderTarget
from dsfactory.formats.provenance import Ledger, Provenance
from dsfactory.formats.writer import Copy, DatasetWriter, ExportPlan, ImageFormat
from dsfactory.storage.disk import disk_errors
from dsfactory.storage.remote import place_of

if TYPE_CHECKING:
    from dsfactory.formats.bucket import BucketTarget


@dataclass(frozen=True)
class ExportSummary:
    """What an export holds.

    Attributes:
        format: its name in FORMATS.
        out: the folder.
        made: False when it was there already and nothing was done.
        images: images by split, ``{"train": …, "val": …}``.
        instances: instances by split.
        val_share: share of the samples that was to go to validation.
        refused_fixes: keys of samples whose fix was left out, since their image has changed.
        renamed: the user's own pictures whose name another one has, with the names that they got.
        gone: those whose file is not there any more as it was: the run's copy was taken.
        notes: what else a person should know.
    """

    format: str
    out: Path
    made: bool
    images: dict[str, int]
    instances: dict[str, int]
    val_share: float
    refused_fixes: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "out": str(self.out)}


@dataclass(frozen=True)
class ExportSettings:
    """What an export is made of, and how.

    Attributes:
        classes: display names; the first has id 1 in the masks.
        fingerprint: says what the samples are; another one means another export.
        model: who drew the images.
        val_share: share of the samples in the validation split, 0 to 1; see :mod:`dsfactory.dataset.split`.
        image_format: None for the format's own choice.
        rle: segmentations as run lengths (COCO only).
        drawn: see :class:`~dsfactory.formats.writer.ExportPlan`.
        corrected: see there.
        keep_empty: some samples have no object; another export than one without them.
        copy: see there.
        remark: see there.
        trust: hash of what says how far the objects can be trusted; empty where nothing does.
        min_trust: objects of less trust are ignored; another export than one with them.
        provenance: see there.
        test_share: share of the samples in the test split; there is none where it is 0.
        chosen: settings by which the samples were chosen or changed, which tell this export from others.
        adopted: see there.
    """

    classes: Sequence[str]
    fingerprint: str
    model: str
    val_share: float = 0.1
    image_format: ImageFormat | None = None
    rle: bool = False
    drawn: bool = True
    corrected: bool = False
    keep_empty: bool = False
    copy: Copy = "copy"
    remark: str = ""
    trust: str = ""
    min_trust: float = 0.0
    provenance: Provenance | None = None
    test_share: float = 0.0
    chosen: Mapping[str, Any] = field(default_factory=dict)
    adopted: bool = False


def export(
    format: str,
    samples: Iterable[ExportSample],
    classes: Sequence[str],
    out: Path,
    *,
    redo: bool = False,
    **settings: Any,
) -> ExportSummary:
    """Write samples as a dataset that appears at ``out`` in full or not at all.

    One sample is in memory at a time. Equal samples and settings give equal bytes. An export that is there with the
    same fingerprint and settings is left alone, and no sample is drawn from ``samples``.

    Args:
        format: a name in FORMATS.
        samples: at least one, keys distinct.
        classes: see :class:`ExportSettings`.
        out: folder to make; it may exist if it is empty or holds an export of dsfactory.
        redo: replace an export of dsfactory that is there.
        settings: the other fields of :class:`ExportSettings`.

    Raises:
        UserError: a setting or ``out`` cannot be used, there are no samples, or the disk is full.
        RunLocked: another process is exporting to ``out``.
        DsfactoryError: a sample's files do not fit each other.
    """
    wanted = ExportSettings(classes, **settings)
    writer_class, plan, identity = _plan(format, wanted)
    target = _target(out)
    if wanted.copy == "link" and not isinstance(target, FolderTarget):
        raise UserError(f"{out}: a bucket holds no links: use --copy copy or --copy none")
    with disk_errors(out, "nothing was written"), target.writing() as place:
        present = _same_export(out, target, identity, redo)
        if present is not None:
            return ExportSummary(format, out, False, **present["counts"], val_share=wanted.val_share)
        counts = _write(writer_class(place.staging, plan), samples, wanted.val_share, wanted.test_share)
        place.finish({**identity, "counts": counts})
    return ExportSummary(format, out, True, counts["images"], counts["instances"], wanted.val_share)


def is_there(format: str, out: Path, *, redo: bool = False, **settings: Any) -> bool:
    """Whether :func:`export` with the same arguments would have nothing to do. Writes nothing.

    Raises:
        UserError: it would refuse.
    """
    _, _, identity = _plan(format, ExportSettings(**settings))
    with disk_errors(out, "nothing was written"):
        return _same_export(out, _target(out), identity, redo) is not None


def _target(out: Path) -> "FolderTarget | BucketTarget":
    target = Path(os.path.realpath(out))
    found = place_of(target)
    if found is None:
        return FolderTarget(target)
    from dsfactory.formats.bucket import BucketTarget

    url, root = found
    return BucketTarget(url if target == root else f"{url}/{target.relative_to(root).as_posix()}")


def _plan(format: str, wanted: ExportSettings) -> tuple[type[DatasetWriter], ExportPlan, dict[str, Any]]:
    """The writer, what it needs to know, and what tells this export from others."""
    writer_class = find_format(format).writer()
    val_share, test_share = wanted.val_share, wanted.test_share
    plan = ExportPlan(
        classes=tuple(wanted.classes),
        model=wanted.model,
        image_format=wanted.image_format or writer_class.image_formats[0],
        rle=wanted.rle,
        drawn=wanted.drawn,
        corrected=wanted.corrected,
        copy=wanted.copy,
        convert=wanted.image_format is not None and not wanted.drawn,
        remark=wanted.remark,
        trusted=bool(wanted.trust),
        provenance=wanted.provenance,
        splits=(*SPLITS, "test") if test_share else SPLITS,
        adopted=wanted.adopted,
    )
    if not 0 <= val_share <= 1:
        raise UserError(f"the validation share {val_share} is not between 0 and 1")
    if not 0 <= test_share <= 1 - val_share:
        raise UserError(f"the test share {test_share} and the validation share {val_share} are more than there is")
    if plan.image_format not in writer_class.image_formats:
        known = ", ".join(writer_class.image_formats)
        raise UserError(f"{format} images cannot be {plan.image_format}: its readers look for {known}")
    if plan.rle and not writer_class.supports_rle:
        raise UserError(f"{format} has no run-length segmentations: they are for coco")
    if plan.copy not in writer_class.copies:
        raise UserError(f"{format} holds its images: use --copy {' or --copy '.join(writer_class.copies)}")
    optional = {  # left out where they say nothing: then the manifest is what it was before there were any
        "keep_empty": wanted.keep_empty,
        "trust": wanted.trust,
        "min_trust": wanted.min_trust,
        "copy": plan.copy if plan.copy != "copy" else None,
        "convert": plan.convert,
        "provenance": plan.provenance is not None,
        **wanted.chosen,
        "test_share": test_share,
    }
    identity = {
        "format": format,
        "version": writer_class.version,
        "fingerprint": wanted.fingerprint,
        "classes": list(plan.classes),
        "model": plan.model,
        "settings": {
            "val_share": val_share,
            "image_format": plan.image_format,
            "rle": plan.rle,
            **{name: value for name, value in optional.items() if value},
        },
    }
    return writer_class, plan, identity


def _same_export(
    out: Path, target: "FolderTarget | BucketTarget", identity: dict[str, Any], redo: bool
) -> dict[str, Any] | None:
    """The manifest of the export at ``out`` if it is the one that is asked for; None where one is to be made.

    Raises:
        UserError: there is another one and ``redo`` is off, or something that is not ours.
    """
    present = target.manifest()
    if present is None:
        return None
    if redo:
        target.check_replaceable(present)
        return None
    changes = differences({name: present.get(name) for name in identity}, identity)
    if changes:
        known = [change for change in changes if not change.startswith("fingerprint: ")]
        what = ", ".join(known) or "the samples have changed since"
        raise UserError(f"{out} holds another export ({what}): add --redo to replace it, or name another --out")
    return present


def _write(
    writer: DatasetWriter, samples: Iterable[ExportSample], val_share: float, test_share: float
) -> dict[str, dict[str, int]]:
    images: dict[str, int] = dict.fromkeys(writer.plan.splits, 0)
    instances: dict[str, int] = dict.fromkeys(writer.plan.splits, 0)
    with contextlib.closing(writer):
        ledger = Ledger(writer) if writer.plan.provenance is not None else None
        for sample in samples:
            split = sample.split or side_of(sample.row | {"key": sample.key}, val_share, test_share)
            labels = read_labels(sample, len(writer.plan.classes))
            writer.note_source(sample)
            writer.add(sample, labels, split)
            if ledger is not None:
                ledger.add(sample, labels, split)
            images[split] += 1
            instances[split] += labels.count()
        if not any(images.values()):
            raise UserError("there is no finished sample to export: see the reasons with 'dsfactory status'")
        writer.finish()
        if ledger is not None:
            ledger.finish()
    return {"images": images, "instances": instances}
