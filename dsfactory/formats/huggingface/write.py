"""Hugging Face ImageFolder: images and masks as files, their table in ``metadata.jsonl``."""

import json
from pathlib import Path
from typing import BinaryIO, ClassVar

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.description import dataset_card, describe_sample
from dsfactory.formats.writer import Copy, DatasetWriter, ExportPlan

SPLIT_NAMES: dict[Split, str] = {"train": "train", "val": "validation", "test": "test"}
"""What the Hugging Face libraries call the splits."""


class HuggingFaceWriter(DatasetWriter):
    """Writes a dataset that ``datasets.load_dataset(folder)`` opens.

    Each split is a folder with ``images``, ``masks``, ``instances`` and ``metadata.jsonl``
    (https://huggingface.co/docs/datasets/image_load). A column ``mask_file_name`` there becomes an image column
    ``mask``, and so do the instances. Masks are palette PNGs whose values are ids: 0 background, 255 void. An empty
    split has no folder.
    """

    says_files: ClassVar[bool] = True
    has_card: ClassVar[bool] = True
    copies: ClassVar[tuple[Copy, ...]] = ("copy", "link")

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        self._tables: dict[Split, BinaryIO] = {}
        if plan.provenance is None:
            self.write("README.md", dataset_card(plan).encode())

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        top = SPLIT_NAMES[split]
        if split not in self._tables:
            for folder in ("images", "masks", "instances"):
                (self.root / top / folder).mkdir(parents=True)
            self._tables[split] = self.stream(f"{top}/metadata.jsonl")
        named = {
            "file_name": f"images/{self.write_image(f'{top}/images', sample)}",
            "mask_file_name": f"masks/{sample.name}.png",
            "instances_file_name": f"instances/{sample.name}.png",
        }
        self.write(f"{top}/{named['mask_file_name']}", sample.mask_png)
        self.write(f"{top}/{named['instances_file_name']}", sample.instances_png)
        row = named | describe_sample(sample, labels, self.plan)
        self._tables[split].write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
