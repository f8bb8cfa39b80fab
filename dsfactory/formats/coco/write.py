"""COCO instance segmentation: ``annotations/instances_{train,val}.json`` and ``images/{train,val}``."""

import json
import shutil
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from dsfactory.dataset.sample import ExportSample, Instance, Labels
from dsfactory.dataset.split import Split
from dsfactory.formats.coco.segmentation import encode
from dsfactory.formats.provenance import provenance_columns
from dsfactory.formats.writer import DatasetWriter, ExportPlan

PROVENANCE = ("prompt", "source", "style", "scene", "weather", "model", "image_seed", "kind", "sources",
              "origin", "source_run", "source_key", "domain")  # fmt: skip
"""Columns that an image's entry carries on; COCO readers pass over fields they do not know."""


class CocoWriter(DatasetWriter):
    """Writes the COCO format (https://cocodataset.org/#format-data), one annotation per instance.

    Segmentations are polygons with ``iscrowd`` 0. With ``rle`` they are compressed run lengths with ``iscrowd`` 0,
    which pycocotools reads but several other loaders take for a crowd or refuse. Void pixels belong to no annotation:
    the format has no place for them. Ids start at 1; an image's id is its sample number + 1, so it stays the same
    when the dataset grows or is filtered; annotation ids are unique within each file. The folders are those of the COCO
    API's own instructions, which Datumaro insists on. ``score`` is the object's trust, where it is known.
    """

    folders: ClassVar[tuple[str, ...]] = ("annotations", "images/train", "images/val")
    supports_rle: ClassVar[bool] = True
    has_checksums: ClassVar[bool] = False

    def __init__(self, root: Path, plan: ExportPlan) -> None:
        super().__init__(root, plan)
        self._splits: dict[Split, SplitFile] = {}
        for split in plan.splits:
            json_file = self.stream(f"annotations/instances_{split}.json")
            # Images and annotations are two lists of one file: the second waits in a file of its own.
            self._splits[split] = SplitFile(json_file, self.stream(f"{split}.part"), header(plan, split))

    def add(self, sample: ExportSample, labels: Labels, split: Split) -> None:
        name = self.write_image(f"images/{split}", sample)
        image_id = int(sample.row["number"]) + 1
        provenance = {column: sample.row[column] for column in PROVENANCE if sample.row.get(column) is not None}
        image = {"id": image_id, "file_name": name, "width": labels.width, "height": labels.height, "license": 1}
        if self.plan.provenance is not None:
            columns = provenance_columns(sample, self.plan.provenance)
            del columns["corrected"]
            provenance |= {name: value for name, value in columns.items() if value not in (None, [], "")}
        file = self._splits[split]
        file.add_image({**image, **provenance, **({"corrected": True} if sample.corrected else {})})
        for instance in labels.objects():
            file.add_annotation(
                image_id, instance, encode(instance.pixels, self.plan.rle), sample.trust.get(instance.number)
            )

    def finish(self) -> None:
        for split, file in self._splits.items():
            file.finish()
            (self.root / f"{split}.part").unlink()


class SplitFile:
    """One JSON of COCO, written item by item: images, while annotations wait in a file of their own."""

    def __init__(self, json_file: BinaryIO, waiting: BinaryIO, header: dict[str, Any]) -> None:
        self.json_file = json_file
        self.waiting = waiting
        self._images = 0
        self._annotations = 0
        json_file.write(_json(header)[:-1] + b',\n"images": [')

    def add_image(self, image: dict[str, Any]) -> None:
        self._images += 1
        self.json_file.write((b"\n" if self._images == 1 else b",\n") + _json(image))

    def add_annotation(self, image_id: int, instance: Instance, segmentation: Any, trust: float | None) -> None:
        annotation = {
            "id": self._annotations + 1,
            "image_id": image_id,
            "category_id": instance.category,
            "segmentation": segmentation,
            "area": float(instance.area),
            "bbox": [float(value) for value in instance.box],
            "iscrowd": 0,
            **({} if trust is None else {"score": trust}),
        }
        self.add(annotation)

    def add(self, annotation: dict[str, Any]) -> None:
        self._annotations += 1
        self.waiting.write((b"\n" if self._annotations == 1 else b",\n") + _json(annotation))

    def finish(self) -> None:
        self.json_file.write(b'\n],\n"annotations": [')
        self.waiting.seek(0)
        shutil.copyfileobj(self.waiting, self.json_file)
        self.json_file.write(b"\n]}\n")


def header(plan: ExportPlan, split: Split) -> dict[str, Any]:
    """What stands before the images: info, licences, categories."""
    images = f"Synthetic images ({split} split) drawn by {plan.model} and" if plan.drawn else f"Images ({split} split)"
    labelled = f"labelled with dsfactory by {'the model' if plan.drawn else plan.model}'s attention"
    if plan.adopted:
        images, labelled = f"{'Synthetic images' if plan.drawn else 'Images'} ({split} split)", "adopted by dsfactory"
    description = (
        f"{images} {labelled}. "
        f"{plan.checked} Pixels that the labels leave open (void) belong to no annotation."
        f"{f' {plan.remark}' if plan.remark else ''}"
    )
    terms = (
        f"Synthetic: the terms of the model {plan.model} apply" if plan.generated else "The terms of the pictures apply"
    )
    return {
        "info": {"description": description, "version": "1.0", "contributor": "dsfactory", "url": ""},
        "licenses": [{"id": 1, "name": terms, "url": ""}],
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for number, name in enumerate(plan.classes, start=1)
        ],
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
