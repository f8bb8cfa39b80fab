"""The features of a run's images, and of folders of images beside it, kept in the run's folder ``embed``.

A file per shard, ``embed/NETWORK/NNNNN.safetensors``, says which tar it was made of, so that images that were made
again are looked at again. It may be deleted at any time: whoever needs it makes it again.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dsfactory.core.png import decode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import IMAGE
from dsfactory.core.shard import ShardSpec
from dsfactory.embed.duplicates import HASH_BITS, perceptual_hash
from dsfactory.embed.network import Embedder, embedder
from dsfactory.errors import UserError
from dsfactory.segment.config import BUNDLED
from dsfactory.storage.atomic import write_atomic

FOLDER = "embed"
THUMB = 32
"""Side in pixels of the small squares."""
Report = Callable[[str, int, int], None]
"""``(name, done, total)``."""


@dataclass(frozen=True)
class Embedded:
    """What is kept of images.

    Attributes:
        features: float32 ``(images, features)``; NaN for what is no image.
        hashes: uint8 ``(images, 32)``: perceptual hashes, of :func:`dsfactory.embed.duplicates.perceptual_hash`.
        thumbs: uint8 ``(images, THUMB, THUMB, 3)``: the images, each made a small square.
    """

    features: NDArray[np.float32]
    hashes: NDArray[np.uint8]
    thumbs: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(cls, rows: "Sequence[Embedded]") -> "Embedded":
        """Several one after the other."""
        return cls(
            np.concatenate([one.features for one in rows]),
            np.concatenate([one.hashes for one in rows]),
            np.concatenate([one.thumbs for one in rows]),
        )

    def row(self, number: int) -> "Embedded":
        """One image alone."""
        only = slice(number, number + 1)
        return Embedded(self.features[only], self.hashes[only], self.thumbs[only])


class FeatureCache:
    """Features of a run's images.

    Args:
        run: the run.
        images: folder of the stage that made its images.
        network: see :func:`dsfactory.embed.network.embedder`.
        keep: what is made is written into the run.
    """

    def __init__(self, run: Run, images: str, network: str = BUNDLED, keep: bool = True) -> None:
        self._run, self._images, self._network, self._keep = run, images, network, keep
        self._loaded: Embedder | None = None

    def of_run(self, report: Report) -> dict[str, tuple[ShardSpec, Embedded]]:
        """The features of all finished shards, by the shard's name. What is not there is made.

        Raises:
            DamagedShard: a shard with images cannot be read.
        """
        specs = self._run.finished(self._images)
        total, done = sum(map(len, specs)), 0
        found = {}
        for spec in specs:
            report("features", done, total)
            found[spec.name] = spec, self._shard(spec)
            done += len(spec)
        report("features", total, total)
        return found

    def of_images(self, name: str, images: Sequence[Path], read: Callable[[Path], NDArray[np.uint8]],
                  report: Report, looked: str = "features") -> Embedded:  # fmt: skip
        """The features of other images, such as real ones.

        Args:
            name: what the file is called, such as ``"real"``.
            images: their files; size and time of each tell whether they have changed.
            read: a file to uint8 RGB; raises ValueError for one that cannot be read: its features are NaN.
            report: told about progress.
            looked: what that is called.
        """
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in images]
        mark = hashlib.sha256(repr(stats).encode()).hexdigest()
        path = self._folder() / f"{name}-{hashlib.sha256(str(images[0].parent).encode()).hexdigest()[:12]}.safetensors"

        def pixels() -> Iterable[NDArray[np.uint8] | None]:
            for place, image in enumerate(images):
                report(looked, place, len(images))
                try:
                    yield read(image)
                except ValueError:
                    yield None
            report(looked, len(images), len(images))

        return self._kept(path, mark, len(images), pixels)

    def _shard(self, spec: ShardSpec) -> Embedded:
        reader = self._run.reader(self._images, spec)
        path = self._folder() / f"{spec.name}.safetensors"

        def pixels() -> Iterable[NDArray[np.uint8] | None]:
            for record in reader.records():
                yield decode_rgb_png(record.files[IMAGE]) if IMAGE in record.files else None

        return self._kept(path, f"{spec.start}-{spec.stop} {reader.mark.tar_sha256}", len(spec), pixels)

    def _kept(
        self, path: Path, mark: str, count: int, pixels: Callable[[], Iterable[NDArray[np.uint8] | None]]
    ) -> Embedded:
        found = _read(path, mark, count)
        if found is not None:
            return found
        if self._loaded is None:
            self._loaded = embedder(self._network)
        features: list[NDArray[np.float32] | None] = []
        hashes = np.zeros((count, HASH_BITS // 8), np.uint8)
        thumbs = np.zeros((count, THUMB, THUMB, 3), np.uint8)
        for place, image in enumerate(pixels()):
            features.append(None if image is None else self._loaded(image))
            if image is not None:
                hashes[place] = np.frombuffer(perceptual_hash(image), np.uint8)
                thumbs[place] = cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
        width = next((len(one) for one in features if one is not None), 1)
        table = np.stack([one if one is not None else np.full(width, np.nan, np.float32) for one in features])
        if self._keep:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, save({"features": table, "hashes": hashes, "thumbs": thumbs}, {"of": mark}))
        return Embedded(table, hashes, thumbs)

    def _folder(self) -> Path:
        folder = self._run.path / FOLDER
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UserError(f"{folder} is no folder of the run: move it away")
        if self._network == BUNDLED:
            return folder / BUNDLED
        weights = sorted(Path(self._network).glob("*.safetensors"))
        said = repr([(item.name, item.stat().st_size, item.stat().st_mtime_ns) for item in weights])
        return folder / f"{Path(self._network).name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _read(path: Path, mark: str, count: int) -> Embedded | None:
    """What a file holds; None when it is not there, damaged, or of something else."""
    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("of") != mark:
                return None
            found = Embedded(*(file.get_tensor(name) for name in ("features", "hashes", "thumbs")))
    except (OSError, SafetensorError):
        return None
    return found if len(found.features) == len(found.hashes) == len(found.thumbs) == count else None
