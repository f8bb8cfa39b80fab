"""How other tools read an export: one function per tool and format, by the tool itself or by its published rules.

A reader takes an export's folder and returns what the tool saw. It imports its tool inside, so that a tool that is not
there costs its own rows only.
"""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]
SPLITS = ("train", "val")


@dataclass
class Seen:
    """What a tool saw in an export.

    Attributes:
        classes: their names in the tool's order, without background and void; None where the format names none.
        images: RGB pixels by key.
        masks: class ids by key, where the tool reads index masks.
        objects: class name and pixels of each object by key, where the tool reads objects.
        boxes: class name and x, y, width, height of each object by key, where the tool reads boxes only.
    """

    classes: list[str] | None = None
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    masks: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    objects: dict[str, list[tuple[str, Mask]]] = field(default_factory=dict)
    boxes: dict[str, list[tuple[str, tuple[int, ...]]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Consumer:
    """A tool that reads a format.

    Attributes:
        tool: its name for people.
        package: the distribution whose version was tried; empty where only the tool's rules are followed.
        format: the export format.
        read: the reader.
        agrees: ``"exact"``: every pixel; ``"iou"``: objects with an IoU of 0.99 at least; ``"pixel"``: objects
            whose border is at most a pixel off, for a tool that rounds the corners of polygons.
    """

    tool: str
    package: str
    format: str
    read: Callable[[Path], Seen]
    agrees: Literal["exact", "iou", "pixel"] = "exact"


CONSUMERS: list[Consumer] = []


def consumer(
    tool: str, package: str, format: str, agrees: Literal["exact", "iou", "pixel"] = "exact"
) -> Callable[[Callable[[Path], Seen]], Any]:
    """Register a reader in CONSUMERS."""

    def register(read: Callable[[Path], Seen]) -> Callable[[Path], Seen]:
        CONSUMERS.append(Consumer(tool, package, format, read, agrees))
        return read

    return register


def rgb(source: Path | bytes | Image.Image) -> NDArray[np.uint8]:
    """Any image as RGB pixels."""
    if isinstance(source, Image.Image):
        return np.array(source.convert("RGB"))
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return np.array(image.convert("RGB"))


@consumer("pycocotools", "pycocotools", "coco")
def read_with_pycocotools(root: Path) -> Seen:
    import contextlib

    from pycocotools.coco import COCO

    seen = Seen()
    for split in SPLITS:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(root / "annotations" / f"instances_{split}.json")
        seen.classes = [item["name"] for item in coco.loadCats(sorted(coco.getCatIds()))]
        for image in coco.imgs.values():
            key = Path(image["file_name"]).stem
            seen.images[key] = rgb(root / "images" / split / image["file_name"])
            seen.objects[key] = [
                (coco.cats[item["category_id"]]["name"], coco.annToMask(item).astype(bool))
                for item in coco.imgToAnns[image["id"]]
            ]
    return seen


@consumer("torchvision VOCSegmentation", "", "voc")
def read_as_torchvision(root: Path) -> Seen:
    """``VOCSegmentation(root, image_set=…)``: the list names the files; ``PIL.Image.open`` opens image and mask."""
    seen = Seen()
    for split in SPLITS:
        for key in (root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split():
            seen.images[key] = rgb(root / "JPEGImages" / f"{key}.jpg")
            with Image.open(root / "SegmentationClass" / f"{key}.png") as mask:
                seen.masks[key] = np.array(mask)
    return seen


@consumer("torchvision VOCDetection", "", "voc")
def read_boxes_as_torchvision(root: Path) -> Seen:
    """``VOCDetection(root, image_set=…)``: ``ImageSets/Main`` and the XML of each image; boxes count from 1."""
    seen = Seen()
    for split in SPLITS:
        for key in (root / "ImageSets" / "Main" / f"{split}.txt").read_text().split():
            seen.images[key] = rgb(root / "JPEGImages" / f"{key}.jpg")
            seen.boxes[key] = []
            for item in ElementTree.parse(root / "Annotations" / f"{key}.xml").iter("object"):
                corners = [int(item.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")]
                x, y = corners[0] - 1, corners[1] - 1
                seen.boxes[key].append((item.findtext("name", ""), (x, y, corners[2] - x, corners[3] - y)))
    return seen


@consumer("OpenCV imread", "opencv-python-headless", "png")
def read_pairs_with_opencv(root: Path) -> Seen:
    seen = Seen(classes=json.loads((root / "metainfo.json").read_text(encoding="utf-8"))["classes"][1:])
    for path in sorted(root.glob("img_dir/*/*")):
        seen.images[path.stem] = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(root / "ann_dir" / path.parent.name / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        seen.masks[path.stem] = mask
    return seen


@consumer("mmsegmentation BaseSegDataset", "", "png")
def read_as_mmsegmentation(root: Path) -> Seen:
    """``data_prefix=dict(img_path="img_dir/train", seg_map_path="ann_dir/train")``, suffixes ``.jpg`` and ``.png``.

    ``LoadAnnotations`` decodes with pillow, "unchanged": the values as stored. ``reduce_zero_label`` is off.
    """
    metainfo = json.loads((root / "metainfo.json").read_text(encoding="utf-8"))
    assert metainfo["reduce_zero_label"] is False and len(metainfo["palette"]) == len(metainfo["classes"])
    seen = Seen(classes=metainfo["classes"][1:])
    for split in SPLITS:
        for path in sorted((root / "img_dir" / split).glob("*.jpg")):
            seen.images[path.stem] = rgb(path)
            with Image.open(root / "ann_dir" / split / f"{path.stem}.png") as mask:
                assert mask.mode == "L"
                seen.masks[path.stem] = np.array(mask)
    return seen


@consumer("mmsegmentation PascalVOCDataset", "", "voc")
def read_voc_as_mmsegmentation(root: Path) -> Seen:
    """``ann_file="ImageSets/Segmentation/train.txt"``; ``JPEGImages`` and ``SegmentationClass``, decoded by pillow."""
    return read_as_torchvision(root)


@consumer("supervision", "supervision", "coco", agrees="pixel")
def read_coco_with_supervision(root: Path) -> Seen:
    import supervision as sv

    def load(split: str) -> Any:
        annotations = root / "annotations" / f"instances_{split}.json"
        return sv.DetectionDataset.from_coco(str(root / "images" / split), str(annotations), force_masks=True)

    return _from_supervision(load)


@consumer("supervision", "supervision", "yolo", agrees="iou")
def read_yolo_with_supervision(root: Path) -> Seen:
    import supervision as sv

    def load(split: str) -> Any:
        folders = [str(root / kind / split) for kind in ("images", "labels")]
        return sv.DetectionDataset.from_yolo(*folders, str(root / "data.yaml"), force_masks=True)

    return _from_supervision(load)


def _from_supervision(load: Callable[[str], Any]) -> Seen:
    seen = Seen()
    for split in SPLITS:
        dataset = load(split)
        seen.classes = list(dataset.classes)
        for path, image, detections in dataset:
            key = Path(path).stem
            seen.images[key] = np.ascontiguousarray(image[:, :, ::-1])
            masks = detections.mask if detections.mask is not None else []
            seen.objects[key] = [
                (dataset.classes[number], np.asarray(mask, dtype=bool))
                for number, mask in zip(detections.class_id, masks, strict=True)
            ]
    return seen


@consumer("Ultralytics", "", "yolo", agrees="iou")
def read_as_ultralytics(root: Path) -> Seen:
    """``verify_image_label`` and ``polygon2mask``.

    ``/images/`` in a path becomes ``/labels/``; a line of more than six values is a polygon, all values within 0 and 1;
    equal boxes of one class count once; coordinates are multiplied with the image's size, cut down and filled.
    """
    import yaml

    content = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
    seen = Seen(classes=[content["names"][number] for number in range(len(content["names"]))])
    for split in SPLITS:
        for path in sorted((root / content[split]).iterdir()):
            seen.images[path.stem] = rgb(path)
            height, width = seen.images[path.stem].shape[:2]
            label_path = Path(str(path).replace("/images/", "/labels/")).with_suffix(".txt")
            lines = [line.split() for line in label_path.read_text().splitlines()]
            assert min(height, width) > 9 and all(len(line) > 6 and len(line) % 2 for line in lines)
            polygons = [np.array(line[1:], dtype=np.float32).reshape(-1, 2) for line in lines]
            assert all(points.min() >= 0 and points.max() <= 1 for points in polygons)
            boxes = [[int(line[0]), *p.min(axis=0), *p.max(axis=0)] for line, p in zip(lines, polygons, strict=True)]
            assert len(np.unique(boxes, axis=0)) == len(boxes)
            seen.objects[path.stem] = []
            for line, points in zip(lines, polygons, strict=True):
                canvas = np.zeros((height, width), dtype=np.uint8)
                cv2.fillPoly(canvas, [(points * (width, height)).astype(np.int32)], 1)
                seen.objects[path.stem].append((content["names"][int(line[0])], canvas.astype(bool)))
    return seen


@consumer("Ultralytics convert_coco", "", "coco")
def read_coco_as_ultralytics(root: Path) -> Seen:
    """``convert_coco(use_segments=True)`` takes boxes and polygons as they are, and refuses run lengths.

    The category becomes its id − 1, so ids must follow each other from 1. Checked: that, and the boxes.
    """
    seen = Seen()
    for split in SPLITS:
        content = json.loads((root / "annotations" / f"instances_{split}.json").read_text(encoding="utf-8"))
        assert [item["id"] for item in content["categories"]] == list(range(1, len(content["categories"]) + 1))
        seen.classes = [item["name"] for item in content["categories"]]
        images = {item["id"]: item["file_name"] for item in content["images"]}
        for name in images.values():
            seen.images[Path(name).stem] = rgb(root / "images" / split / name)
            seen.boxes[Path(name).stem] = []
        for item in content["annotations"]:
            assert not item["iscrowd"] and all(len(ring) >= 6 for ring in item["segmentation"])
            box = tuple(int(value) for value in item["bbox"])
            seen.boxes[Path(images[item["image_id"]]).stem].append((seen.classes[item["category_id"] - 1], box))
    return seen


@consumer("Datumaro", "datumaro", "coco")
def read_coco_with_datumaro(root: Path) -> Seen:
    return _from_datumaro(root, "coco")


@consumer("Datumaro", "datumaro", "voc")
def read_voc_with_datumaro(root: Path) -> Seen:
    return _from_datumaro(root, "voc_segmentation")


@consumer("Datumaro", "datumaro", "cvat")
def read_cvat_with_datumaro(root: Path) -> Seen:
    return _from_datumaro(root, "cvat")


def _from_datumaro(root: Path, format: str) -> Seen:
    import datumaro as dm
    from pycocotools import mask as coco_mask

    dataset = dm.Dataset.import_from(str(root), format)
    names = [item.name for item in dataset.categories()[dm.AnnotationType.label]]
    seen = Seen(classes=[name for name in names if name not in ("background", "void")])
    for item in dataset:
        seen.images[item.id] = rgb(Path(item.media.path))
        shape = seen.images[item.id].shape[:2]
        parts: dict[Any, tuple[str, Mask]] = {}
        for annotation in item.annotations:
            if annotation.type == dm.AnnotationType.polygon:
                pixels = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([annotation.points], *shape)))
                identity = annotation.group  # the polygons of one object share it
            elif annotation.type == dm.AnnotationType.mask:
                pixels, identity = np.asarray(annotation.image), len(parts)
            else:
                continue
            name = names[annotation.label]
            if name in ("background", "void"):
                continue
            before = parts[identity][1] if identity in parts else np.zeros(shape, dtype=bool)
            parts[identity] = (name, before | pixels.astype(bool))
        seen.objects[item.id] = list(parts.values())
    return seen


@consumer("FiftyOne", "fiftyone", "coco")
def read_coco_with_fiftyone(root: Path) -> Seen:
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    def load(split: str) -> Any:
        return COCODetectionDatasetImporter(
            data_path=str(root / "images" / split),
            labels_path=str(root / "annotations" / f"instances_{split}.json"),
            label_types=["segmentations"],
        )

    seen = _from_fiftyone(load)
    content = json.loads((root / "annotations" / "instances_train.json").read_text(encoding="utf-8"))
    seen.classes = [item["name"] for item in content["categories"]]
    return seen


@consumer("FiftyOne", "fiftyone", "yolo", agrees="iou")
def read_yolo_with_fiftyone(root: Path) -> Seen:
    from fiftyone.utils.yolo import YOLOv5DatasetImporter

    return _from_fiftyone(
        lambda split: YOLOv5DatasetImporter(
            dataset_dir=str(root), yaml_path="data.yaml", split=split, label_type="polylines"
        )
    )


@consumer("FiftyOne", "fiftyone", "png")
def read_pairs_with_fiftyone(root: Path) -> Seen:
    from fiftyone.utils.data.importers import ImageSegmentationDirectoryImporter

    return _from_fiftyone(
        lambda split: ImageSegmentationDirectoryImporter(
            data_path=str(root / "img_dir" / split), labels_path=str(root / "ann_dir" / split), load_masks=True
        )
    )


def _from_fiftyone(load: Callable[[str], Any]) -> Seen:
    """Without FiftyOne's database: its importers hand out what they would store."""
    seen = Seen()
    for split in SPLITS:
        with load(split) as importer:
            for path, _, label in importer:
                key = Path(path).stem
                image = seen.images[key] = rgb(Path(path))
                height, width = image.shape[:2]
                if hasattr(label, "detections"):
                    seen.objects[key] = [(item.label, _pasted(item, (height, width))) for item in label.detections]
                elif hasattr(label, "polylines"):
                    seen.objects[key] = [
                        (item.label, np.asarray(item.to_segmentation(frame_size=(width, height)).mask) > 0)
                        for item in label.polylines
                    ]
                else:
                    seen.masks[key] = np.asarray(label.mask)
    return seen


def _pasted(detection: Any, shape: tuple[int, int]) -> Mask:
    """A FiftyOne instance mask, which covers its box, on a canvas of the image's size."""
    canvas = np.zeros(shape, dtype=bool)
    x, y = round(detection.bounding_box[0] * shape[1]), round(detection.bounding_box[1] * shape[0])
    window = canvas[y : y + detection.mask.shape[0], x : x + detection.mask.shape[1]]
    window[:] = detection.mask[: window.shape[0], : window.shape[1]]
    return canvas


def _from_huggingface(name: str, **options: Any) -> Iterator[tuple[Any, Any]]:
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset(name, cache_dir=cache, **options)
        for split in loaded.values():
            for row in split:
                yield split.features, row


def _from_features(root: Path) -> Seen:
    seen = Seen()
    for features, row in _from_huggingface(str(root)):
        key = row["key"]
        seen.images[key], seen.masks[key] = rgb(row["image"]), np.array(row["mask"])
        instances = np.array(row["instances"])
        category = features["objects"]["category"].feature
        if hasattr(category, "names"):
            seen.classes = category.names[1:]
        by_id = dict(zip(row["objects"]["id"], row["objects"]["category"], strict=True))
        names = seen.classes or _card_classes(root)
        seen.objects[key] = [(names[by_id[number] - 1], instances == number) for number in by_id]
    return seen


def _card_classes(root: Path) -> list[str]:
    rows = [line.strip("| ").split(" | ") for line in (root / "README.md").read_text(encoding="utf-8").splitlines()]
    return [row[1] for row in rows if len(row) == 2 and row[0].isdigit() and 0 < int(row[0]) < 255]


@consumer("datasets.load_dataset", "datasets", "hf")
def read_image_folder(root: Path) -> Seen:
    return _from_features(root)


@consumer("datasets.load_dataset", "datasets", "parquet")
def read_parquet_with_datasets(root: Path) -> Seen:
    return _from_features(root)


@consumer("PyArrow (as DuckDB, pandas)", "pyarrow", "parquet")
def read_parquet_with_pyarrow(root: Path) -> Seen:
    import pyarrow.parquet as pq

    seen = Seen()
    for path in sorted((root / "data").iterdir()):
        for row in pq.read_table(path).to_pylist():
            seen.images[row["key"]] = rgb(row["image"]["bytes"])
            seen.masks[row["key"]] = np.array(Image.open(io.BytesIO(row["mask"]["bytes"])))
    return seen


def _from_samples(root: Path, samples: Iterator[dict[str, Any]]) -> Seen:
    names = json.loads((root / "dataset.json").read_text(encoding="utf-8"))["classes"]
    seen = Seen(classes=[name for number, name in names.items() if 0 < int(number) < 255])
    for sample in samples:
        row, image = sample["json"], sample["png"]
        row = json.loads(row) if isinstance(row, bytes) else row
        key = row["key"]
        mask, instances = (
            np.array(item if isinstance(item, Image.Image) else Image.open(io.BytesIO(item)))
            for item in (sample["mask.png"], sample["instances.png"])
        )
        seen.images[key], seen.masks[key] = rgb(image), mask
        objects = zip(row["objects"]["id"], row["objects"]["category"], strict=True)
        seen.objects[key] = [(names[str(category)], instances == number) for number, category in objects]
    return seen


@consumer("webdataset", "webdataset", "webdataset")
def read_with_webdataset(root: Path) -> Seen:
    import webdataset

    tars = sorted(str(path) for path in root.glob("*.tar"))
    return _from_samples(root, iter(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)))


@consumer("datasets.load_dataset", "datasets", "webdataset")
def read_webdataset_with_datasets(root: Path) -> Seen:
    files = {split: str(root / f"{split}-*.tar") for split in SPLITS}
    return _from_samples(root, (row for _, row in _from_huggingface("webdataset", data_files=files)))
