"""WebDataset: tar files of samples for training that streams."""

import contextlib
import io
import json
import tarfile
from pathlib import Path
from typing import ClassVar

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.description import describe_sample
from dsfactory.formats.writer import Copy, DatasetWriter, ExportPlan

SAMPLES_PER_TAR = 1000


class WebDatasetWriter(DatasetWriter):
    """Writes ``{train,val}-NNNNNN.tar`` (https://github.com/webdataset/webdataset) and ``dataset.json``.

    A sample is ``KEY.png`` (or ``.jpg``), ``KEY.mask.png``, ``KEY.instances.png`` and ``KEY.json``, one after another.
    Masks are palette PNGs whose values are ids: read them with ``PIL``, not as ``"rgb"``. ``dataset.json`` names the
    classes by id, and the number of samples in each tar.
    """

    keeps: ClassVar[tuple[str, ...]] = ("jpg", "png")
    says_files: ClassVar[bool] = True
    copies: ClassVar[tuple[Copy, ...]] = ("copy",)

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        self._samples: dict[str, int] = {}
        self._tars: dict[Split, _Tar] = {}

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        tar = self._tars.get(split)
        if tar is None or self._samples[tar.name] == SAMPLES_PER_TAR:
            number = sum(name.startswith(split) for name in self._samples)
            tar = self._tars[split] = self._open(f"{split}-{number:06d}.tar", tar)
        own = self._kept(sample)
        files = {
            own.kind if own is not None else self.plan.image_format: self.image(sample),
            "mask.png": sample.mask_png,
            "instances.png": sample.instances_png,
            "json": json.dumps(describe_sample(sample, labels, self.plan), ensure_ascii=False).encode(),
        }
        for extension, data in files.items():
            tar.add(f"{_member(sample)}.{extension}", data)
        self._samples[tar.name] += 1

    def _open(self, name: str, full: "_Tar | None") -> "_Tar":
        if full is not None:
            full.finish()
        self._samples[name] = 0
        tar = _Tar(name, self)
        self._streams.push(tar.discard)
        return tar

    def finish(self) -> None:
        for tar in self._tars.values():
            tar.finish()
        content = {"classes": self.plan.names, "model": self.plan.model, "samples": self._samples}
        self.write("dataset.json", json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")


def _member(sample: ExportSample) -> str:
    """The sample's name without the dots at which readers would cut it."""
    return f"{sample.name.replace('.', '_')}-{sample.key}" if "." in sample.name else sample.name


class _Tar:
    """A tar of the dataset; equal members give equal bytes."""

    def __init__(self, name: str, dataset: DatasetWriter) -> None:
        self.name = name
        self._dataset = dataset
        self._open = contextlib.ExitStack()
        file = self._open.enter_context(dataset.file(name))
        tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._tar = self._open.enter_context(contextlib.closing(tar))

    def add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        member.mode = 0o644
        self._tar.addfile(member, io.BytesIO(data))
        self._tar.members.clear()  # type: ignore[attr-defined]  # they are kept for readers, and fill the memory

    def finish(self) -> None:
        self._open.close()
        self._dataset.finished(self.name)

    def discard(self, *error: object) -> None:
        """Close what an error left open."""
        self._open.close()
