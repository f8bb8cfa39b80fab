"""Whether a mask, its instances and its scores fit each other."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsfactory.core.sample import BACKGROUND, VOID

Labels = NDArray[np.uint8]

TOLERANCE = 1e-6
"""Areas are stored as float32: a fraction of an image of 2²⁴ pixels still fits."""


def mask_faults(mask: Labels, size: tuple[int, int], class_ids: Sequence[int]) -> Iterator[str]:
    """What is wrong with a mask.

    Args:
        mask: uint8 ``(height, width)``.
        size: width and height of its image.
        class_ids: values that it may hold beside 0 and 255.
    """
    if mask.shape != size[::-1]:
        yield f"the mask has {mask.shape[1]} × {mask.shape[0]} pixels, the image {size[0]} × {size[1]}"
    strange = sorted({*np.unique(mask).tolist()} - {BACKGROUND, VOID, *class_ids})
    if strange:
        yield f"the mask has the values {', '.join(map(str, strange))}, which are no class of the image"


def instance_faults(mask: Labels, instances: Labels) -> Iterator[str]:
    """What is wrong with an instance image beside its mask; both uint8 ``(height, width)``."""
    if instances.shape != mask.shape:
        yield f"the instances have {instances.shape[1]} × {instances.shape[0]} pixels, the mask others"
        return
    for value, name in ((BACKGROUND, "background"), (VOID, "void")):
        if np.any((mask == value) != (instances == value)):
            yield f"mask and instances disagree about what is {name}"
    ids = [int(value) for value in np.unique(instances) if value not in (BACKGROUND, VOID)]
    if ids != list(range(1, len(ids) + 1)):
        yield f"instance ids are not 1 to {len(ids)}"
    mixed = [number for number in ids if len(np.unique(mask[instances == number])) > 1]
    if mixed:
        yield f"instance {mixed[0]} covers more than one class"


def score_faults(row: dict[str, Any], mask: Labels, instances: Labels, class_ids: Sequence[int]) -> Iterator[str]:
    """Columns of a refine row that disagree with its mask; ``class_ids`` in the order of the column ``classes``."""
    for name in ("threshold", "agreement", "peak", "area", "components"):
        if row[name] is None or len(row[name]) != len(class_ids):
            yield f"the column {name} does not have a value per class"
            return
    area = [float(np.mean(mask == number)) for number in class_ids]
    if not np.allclose(row["area"], area, rtol=0, atol=TOLERANCE):
        yield f"the column area says {_listed(row['area'])}, the mask {_listed(area)}"
    if not np.isclose(row["void"], np.mean(mask == VOID), rtol=0, atol=TOLERANCE):
        yield f"the column void says {row['void']:.6f}, the mask {np.mean(mask == VOID):.6f}"
    found = [len(np.unique(instances[mask == number])) for number in class_ids]
    if list(row["components"]) != found:
        yield f"the column components says {row['components']}, the instances {found}"
    reasons = row.get("missing")  # runs of before have none
    if reasons and [not why for why in reasons] != [share > 0 for share in area]:
        yield f"the column missing says {reasons}, the classes have {_listed(area)} of the image"
    # A kept image shows one of its classes at least, one that is not kept lacks one.
    if not any(area) if row["status"] == "ok" else all(area):
        yield f"the status is {row['status']}, the classes have {_listed(area)} of the image"


def verdict_faults(row: dict[str, Any], mask: Labels) -> Iterator[str]:
    """Columns of a filter row that disagree with each other or with its mask."""
    if row["kept"] != (row["status"] == "ok"):
        yield f"the column kept says {row['kept']}, the status {row['status']}"
    if (row["status"] == "dropped") != bool(row["drop_reason"]):
        yield f"the status is {row['status']}, the column drop_reason says {row['drop_reason']!r}"
    void = float(np.mean(mask == VOID))
    if row["filter_void"] is not None and not np.isclose(row["filter_void"], void, rtol=0, atol=TOLERANCE):
        yield f"the column filter_void says {row['filter_void']:.6f}, the mask {void:.6f}"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6f}" for value in values)
