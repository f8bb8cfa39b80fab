"""A sample's columns for formats that carry a table: one dictionary of plain values, and a card for people."""

from typing import Any

import yaml

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.formats.writer import ExportPlan


def describe_sample(sample: ExportSample, labels: Labels, plan: ExportPlan) -> dict[str, Any]:
    """Key, provenance, size, the names of the classes in the image, and its objects in the order of their ids.

    In datasets of somebody's own pictures, ``file`` is which of them it was; where labels came with them, ``origin`` is
    real or synthetic.

    ``objects`` is a dictionary of lists: ``id`` (the value in the instance mask), ``category`` (the value in the class
    mask), ``bbox`` (x, y, width, height in pixels) and ``area`` (in pixels). Where a person corrected some samples,
    ``corrected`` says of each whether it is one.
    """
    objects: dict[str, list[Any]] = {"id": [], "category": [], "bbox": [], "area": []}
    for instance in labels.objects():
        objects["id"].append(int(labels.instances[instance.pixels][0]))
        objects["category"].append(instance.category)
        objects["bbox"].append(list(instance.box))
        objects["area"].append(instance.area)
    return {
        "key": sample.key,
        **({} if plan.drawn else {"file": sample.source}),
        "prompt": sample.row.get("prompt", ""),
        "model": sample.row.get("model", plan.model),
        "image_seed": sample.row.get("image_seed"),
        "width": labels.width,
        "height": labels.height,
        "classes": [plan.classes[number - 1] for number in sorted(set(objects["category"]))],
        "objects": objects,
        **({"corrected": sample.corrected} if plan.corrected else {}),
        **({"origin": sample.row.get("origin")} if plan.adopted else {}),
    }


def dataset_card(plan: ExportPlan) -> str:
    """A Hugging Face dataset card (``README.md``): what is in the columns, and who checked the labels."""
    header = {
        "pretty_name": f"{'Synthetic segmentation' if plan.drawn else 'Segmentation'}: {', '.join(plan.classes)}"[:120],
        "license": "other",
        "license_name": "model-terms" if plan.drawn else "terms-of-the-pictures",
        "task_categories": ["image-segmentation"],
        "tags": ["synthetic", "dsfactory"] if plan.drawn else ["dsfactory"],
    }
    origin = (
        f"Drawn by {plan.model}, whose terms apply, and labelled with dsfactory by the model's attention."
        if plan.drawn
        else f"Given pictures, under terms of their own, labelled with dsfactory by {plan.model}'s attention."
    )
    if plan.adopted:
        header |= {"license_name": "terms-of-the-pictures"}
        origin = f"{'Synthetic' if plan.drawn else 'Given'} images, under terms of their own, adopted by dsfactory."
    rows = "\n".join(f"| {number} | {name} |" for number, name in enumerate(plan.classes, start=1))
    return (
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n"
        f"# {'Synthetic images' if plan.drawn else 'Images'} with segmentation masks\n\n"
        f"{origin}\n"
        f"{plan.checked}{f' {plan.remark}' if plan.remark else ''}\n\n"
        "`mask` holds a class id per pixel, `instances` an object id; in both 0 is background and 255 void, which\n"
        "training should ignore. `objects` lists the objects: `id` is the value in `instances`, `category` the value\n"
        "in `mask`, `bbox` is x, y, width, height in pixels.\n\n"
        f"| id | class |\n| --- | --- |\n| 0 | background |\n{rows}\n| 255 | void |\n"
    )
