"""The hand-over to FiftyOne: a run's pictures and masks as files, and a dataset that knows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from dsfactory.core.png import decode_index_png
from dsfactory.core.sample import IMAGE, MASK, VOID
from dsfactory.errors import UserError
from dsfactory.report.sample import Sample
from dsfactory.report.source import Source
from dsfactory.runner.progress import Progress


@dataclass(frozen=True)
class Unpacked:
    """A sample whose files lie on disk; ``mask`` is None before there is one.

    Attributes:
        image: the PNG as it was drawn.
        mask: an 8-bit grey PNG of class ids, 0 background, 255 void. Not the palette PNG of the run: FiftyOne reads
            masks through OpenCV, which turns a palette into colours.
    """

    sample: Sample
    image: Path
    mask: Path | None


def require_fiftyone(run_path: Path) -> None:
    """Make sure that FiftyOne is installed, without loading it.

    Raises:
        UserError: it is not; says how to get it, and what does without.
    """
    if find_spec("fiftyone") is None:
        raise UserError(
            f"FiftyOne is not installed: pip install fiftyone, or look at the page of 'dsfactory report {run_path}'"
        )


def unpack(source: Source, folder: Path, progress: Progress) -> Iterator[Unpacked]:
    """Write each sample's image and mask to ``folder/images`` and ``folder/masks``, and yield it.

    Samples without an image (not drawn yet, or failed) are left out.
    """
    images, masks = folder / "images", folder / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(exist_ok=True)
    progress.begin("view", source.run.total, 0)
    for spec in source.run.shards():
        samples = {sample.key: sample for sample in source.shard(spec)}
        for key, files in source.files(samples, spec).items():
            progress.advance()
            if IMAGE not in files:
                continue
            image, mask = images / f"{key}.png", None
            image.write_bytes(files[IMAGE])
            if MASK in files:
                mask = masks / f"{key}.png"
                Image.fromarray(decode_index_png(files[MASK])).save(mask)
            yield Unpacked(samples[key], image, mask)


def make_dataset(source: Source, folder: Path, name: str | None, progress: Progress) -> Any:
    """A FiftyOne dataset of the run.

    Each sample has its prompt, source, seed, status and reason, its classes, a field per score, and its mask as a
    ``Segmentation``; the status is a tag too. The dataset's mask targets name the class ids.

    Args:
        source: the run.
        folder: where its files go; they have to stay as long as the dataset.
        name: of a persistent dataset; None for one that FiftyOne forgets when it ends.
        progress: who is told.

    Returns:
        A ``fiftyone.Dataset``.

    Raises:
        UserError: FiftyOne has a dataset of this name.
    """
    import fiftyone as fo

    if name is not None and fo.dataset_exists(name):
        raise UserError(f"FiftyOne has a dataset {name!r}: choose another --name, or 'fiftyone datasets delete {name}'")
    dataset = fo.Dataset(name, persistent=name is not None)
    names = [item.name for item in source.run.manifest.classes]
    dataset.default_mask_targets = {**dict(enumerate(names, start=1)), VOID: "void"}
    dataset.info = {"run": str(source.run.path), "model": source.model}
    dataset.add_samples((_sample(fo, item) for item in unpack(source, folder, progress)), progress=False)
    return dataset


def _sample(fo: Any, item: Unpacked) -> Any:
    sample = item.sample
    fields = {
        "prompt": sample.prompt,
        "source": sample.source,
        "key": sample.key,
        "seed": sample.image_seed,
        "status": sample.state,
        "reason": sample.why,
        "class_name": sample.class_name,
        "classes": list(sample.classes),
        **sample.scores(),
    }
    if item.mask is not None:
        fields["mask"] = fo.Segmentation(mask_path=str(item.mask.resolve()))
    return fo.Sample(filepath=str(item.image.resolve()), tags=[sample.state], **fields)
