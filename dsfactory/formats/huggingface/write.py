"""Hugging Face ImageFolder: images and masks as files, their table in ``metadata.jsonl``."""

import json
from pathlib import Path
from typing import BinaryIO, ClassVar

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.formats.description import dataset_card, describe_sample
from dsfactory.formats.writer import DatasetWriter, ExportPlan, ImageFormat, Split, encode_image

SPLIT_NAMES: dict[Split, str] = {"train": "train", "val": "validation"}
"""What the Hugging Face libraries call the splits."""


class HuggingFaceWriter(DatasetWriter):
    """Writes a dataset that ``datasets.load_dataset(folder)`` opens.

    Each split is a folder with ``images``, ``masks``, ``instances`` and ``metadata.jsonl``
    (https://huggingface.co/docs/datasets/image_load). A column ``mask_file_name`` there becomes an image column
    ``mask``, and so do the instances. Masks are palette PNGs whose values are ids: 0 background, 255 void. An empty
    split has no folder.
    """

    version: ClassVar[int] = 1
    image_formats: ClassVar[tuple[ImageFormat, ...]] = ("png", "jpg")
    has_checksums: ClassVar[bool] = True

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        self._tables: dict[Split, BinaryIO] = {}
        self.write("README.md", dataset_card(plan).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> int:
        top = SPLIT_NAMES[split]
        if split not in self._tables:
            for folder in ("images", "masks", "instances"):
                (self.root / top / folder).mkdir(parents=True)
            self._tables[split] = self.stream(f"{top}/metadata.jsonl")
        files = {
            "file_name": (f"images/{sample.key}.{self.plan.image_format}",
                          encode_image(sample.image_png, self.plan.image_format)),
            "mask_file_name": (f"masks/{sample.key}.png", sample.mask_png),
            "instances_file_name": (f"instances/{sample.key}.png", sample.instances_png),
        }  # fmt: skip
        for name, data in files.values():
            self.write(f"{top}/{name}", data)
        row = describe_sample(sample, labels, self.plan)
        row = {column: name for column, (name, _) in files.items()} | row
        self._tables[split].write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return len(row["objects"]["id"])

    def finish(self) -> None:
        """Nothing ends the dataset: each line of its tables stands for itself."""
