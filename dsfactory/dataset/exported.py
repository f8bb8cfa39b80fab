"""What exports were made of: hashes of each sample's labels, so that an import can tell what a person has changed.

``exported/FINGERPRINT.txt`` in a run has a line per sample for a state of its labels that was exported: the key and
four hashes, one for each of :data:`TERMS`. It is kept in the run, since tools do not hand back what an export says of
itself, and since an export that is made again would forget what the one before was.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.png import decode_index_png
from dsfactory.core.sample import BACKGROUND, VOID
from dsfactory.dataset.sample import ExportSample
from dsfactory.errors import DsfactoryError
from dsfactory.storage.atomic import make_folder, write_atomic

FOLDER = "exported"
TERMS = ((True, True), (True, False), (False, True), (False, False))
"""What a format can say: whether pieces are one object, and which pixels are to be ignored."""

Hashes = tuple[str, ...]
"""Of a sample's labels, one for each of TERMS."""

_FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
_LINE = re.compile(r"([a-z0-9-]{1,90})((?: [0-9a-f]{16}){4})\n")


def numbered(mask: NDArray[np.uint8], numbers: NDArray[np.integer]) -> tuple[NDArray[np.uint16], int]:
    """Objects numbered from 1 by their first pixel, whatever numbers they have; one of two classes becomes two.

    Args:
        mask: class ids ``(height, width)``, 0 background, 255 ignore.
        numbers: integers ``(height, width)``, one for each object; what they are outside of ``mask`` does not matter.

    Returns:
        The numbers, ``(height, width)``, 0 for background and 255 where ``mask`` is 255; and the count of objects.
    """
    labelled = (mask != BACKGROUND) & (mask != VOID)
    joint: NDArray[np.integer] = np.where(labelled, numbers.astype(np.int64) * 256 + mask, 0)
    if numbers.dtype == np.uint8:
        joint = joint.astype(np.uint16)  # sorted in a fraction of the time
    found, first, inverse = np.unique(joint, return_index=True, return_inverse=True)
    objects = found != 0
    order = np.argsort(np.where(objects, first, -1))
    ranks = np.empty(len(found), dtype=np.uint16)
    ranks[order] = np.arange(len(found)) if not objects.all() else np.arange(1, len(found) + 1)
    instances = ranks[inverse].reshape(mask.shape)
    instances[mask == VOID] = VOID
    return instances, int(np.count_nonzero(objects))


def label_hash(mask: NDArray[np.uint8], instances: NDArray[np.integer] | None) -> str:
    """16 hex digits for labels as they stand; the objects as :func:`numbered` gives them, None where none are said."""
    digest = hashlib.blake2b(repr(mask.shape).encode(), digest_size=8)
    digest.update(mask.tobytes())
    if instances is not None:
        digest.update(instances.astype(np.uint16).tobytes())
    return digest.hexdigest()


def label_hashes(mask: NDArray[np.uint8], instances: NDArray[np.uint8]) -> Hashes:
    """The hashes of a run's labels in all TERMS."""
    numbers, _ = numbered(mask, instances)
    bare = [np.where(mask == VOID, BACKGROUND, part) for part in (mask, numbers)]
    found = []
    for objects, ignore in TERMS:
        said, ranks = (mask, numbers) if ignore else bare
        found.append(label_hash(said, ranks if objects else None))
    return tuple(found)


@contextlib.contextmanager
def noting(run_path: Path, fingerprint: str) -> Iterator[Callable[[Iterator[ExportSample]], Iterator[ExportSample]]]:
    """Note in a run what an export is made of, before it appears; nothing where the block fails.

    A run that may only be read is exported all the same, without the note.

    Args:
        run_path: the run's directory.
        fingerprint: of all samples; what has been noted under it is not noted again.

    Yields:
        What the samples are to be passed through on their way to the export, which finds out labels that do not fit.
    """
    path = run_path / FOLDER / f"{fingerprint}.txt"
    there = path.exists()
    try:
        yield lambda samples: samples if there else _noted(path, samples)
    except BaseException:
        if not there:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()
        raise


def _noted(path: Path, samples: Iterator[ExportSample]) -> Iterator[ExportSample]:
    lines = bytearray()
    for sample in samples:
        yield sample
        hashes = label_hashes(decode_index_png(sample.mask_png), decode_index_png(sample.instances_png))
        lines += f"{sample.key} {' '.join(hashes)}\n".encode()
    with contextlib.suppress(OSError, DsfactoryError):
        if not path.parent.is_symlink():
            make_folder(path.parent)
            write_atomic(path, bytes(lines))


def exported_hashes(run_path: Path, keys: Collection[str]) -> list[dict[str, Hashes]]:
    """What was noted of these samples, by key, for each state that was exported; other lines are passed over."""
    found = []
    folder = run_path / FOLDER
    paths = [] if folder.is_symlink() else sorted(folder.glob("*.txt"))
    for path in paths:
        if not _FINGERPRINT.fullmatch(path.stem) or path.is_symlink():
            continue
        with path.open(encoding="ascii", errors="replace") as file:
            lines = filter(None, map(_LINE.fullmatch, file))
            found.append({line[1]: tuple(line[2].split()) for line in lines if line[1] in keys})
    return found
