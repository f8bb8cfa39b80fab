"""A sample's columns for formats that carry a table: one dictionary of plain values, and a card for people."""

from typing import Any

import yaml

from dsfactory.dataset.sample import ExportSample, Labels
from dsfactory.formats.provenance import Counts, Provenance, provenance_columns
from dsfactory.formats.writer import ExportPlan

_TRUST = (
    " `trust` is the probability that the object's IoU\nwith the truth is 0.8 or more. Unless somebody refitted it, it "
    "was calibrated on rendered scenes of the pocket model's\nworld: other models are another world, where it orders "
    "objects and promises no more."
)


def describe_sample(sample: ExportSample, labels: Labels, plan: ExportPlan) -> dict[str, Any]:
    """Key, provenance, size, the names of the classes in the image, and its objects in the order of their ids.

    In datasets of somebody's own pictures, ``file`` is which of them it was; where labels came with them, ``origin`` is
    real or synthetic.

    ``objects`` is a dictionary of lists: ``id`` (the value in the instance mask), ``category`` (the value in the class
    mask), ``bbox`` (x, y, width, height in pixels) and ``area`` (in pixels), and where it is known ``trust`` (the
    probability that the object is right). Where a person corrected some samples, ``corrected`` says of each whether it
    is one.
    """
    objects: dict[str, list[Any]] = {"id": [], "category": [], "bbox": [], "area": []}
    if plan.trusted:
        objects["trust"] = []
    for instance in labels.objects():
        objects["id"].append(instance.number)
        objects["category"].append(instance.category)
        objects["bbox"].append(list(instance.box))
        objects["area"].append(instance.area)
        if plan.trusted:
            objects["trust"].append(sample.trust.get(instance.number))
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
        **(provenance_columns(sample, plan.provenance) if plan.provenance is not None else {}),
        **({"origin": sample.row.get("origin")} if plan.adopted else {}),
    }


def dataset_card(plan: ExportPlan) -> str:
    """A Hugging Face dataset card (``README.md``): what is in the columns, and who checked the labels."""
    licence = {"license": "other", "license_name": "model-terms" if plan.generated else "terms-of-the-pictures"}
    origin = (
        f"Drawn by {plan.model}, whose terms apply, and labelled with dsfactory by the model's attention."
        if plan.drawn
        else f"Given pictures, under terms of their own, labelled with dsfactory by {plan.model}'s attention."
    )
    if plan.adopted:
        origin = f"{'Synthetic' if plan.drawn else 'Given'} images, under terms of their own, adopted by dsfactory."
    rows = "\n".join(f"| {number} | {name} |" for number, name in enumerate(plan.classes, start=1))
    return (
        f"{_header(plan, licence)}\n\n"
        f"# {'Synthetic images' if plan.drawn else 'Images'} with segmentation masks\n\n"
        f"{origin}\n"
        f"{plan.checked}{f' {plan.remark}' if plan.remark else ''}\n\n"
        "`mask` holds a class id per pixel, `instances` an object id; in both 0 is background and 255 void, which\n"
        "training should ignore. `objects` lists the objects: `id` is the value in `instances`, `category` the value\n"
        f"in `mask`, `bbox` is x, y, width, height in pixels.{_TRUST if plan.trusted else ''}\n\n"
        f"| id | class |\n| --- | --- |\n| 0 | background |\n{rows}\n| 255 | void |\n"
    )


def _header(plan: ExportPlan, licence: dict[str, str]) -> str:
    """The metadata at the head of a Hugging Face card."""
    header = {
        "pretty_name": f"{'Synthetic segmentation' if plan.drawn else 'Segmentation'}: {', '.join(plan.classes)}"[:120],
        **licence,
        "task_categories": ["image-segmentation"],
        "tags": ["synthetic", "dsfactory"] if plan.drawn else ["dsfactory"],
    }
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---"


def full_card(plan: ExportPlan, facts: Provenance, counts: Counts, columns: bool) -> str:
    """The card of an export with provenance: what it is, counts, settings, measured quality, limits and licence.

    Args:
        plan: what it is.
        facts: what its samples have in common.
        counts: of its images and objects.
        columns: it has a table, whose columns are explained.
    """
    known = facts.licence in ("Apache-2.0", "MIT") and plan.generated
    licence = {
        "license": facts.licence.lower() if known else "other",
        **({} if known else {"license_name": facts.licence.lower() if plan.generated else "terms-of-the-pictures"}),
        **({"license_link": facts.licence_url} if facts.licence_url and plan.generated and not known else {}),
    }
    parts = [
        _header(plan, licence),
        f"# {'Synthetic images' if plan.drawn else 'Images'} with segmentation masks",
        f"{plan.origin(facts)}\n{plan.checked}{f' {plan.remark}' if plan.remark else ''}",
        f"## What is in it\n\n{_count_table(plan, counts)}",
        f"{_COLUMNS_EXPLAINED}{_TRUST if plan.trusted else ''}" if columns else "",
        "## Where each sample comes from\n\n"
        "`provenance.csv` has a line per sample: model, prompt, seed, parents, and whether a model made the image\n"
        "(`synthetic`). PNG and JPEG files that a model made say so in their XMP (`Iptc4xmpExt:DigitalSourceType`).\n"
        "`croissant.json` says the same to machines.",
        "## Settings\n\n| setting | value |\n| --- | --- |\n"
        + "\n".join(f"| {name} | {_in_cell(value)} |" for name, value in facts.settings),
        "## Measured quality\n\n" + "\n".join(f"- {line}" for line in facts.quality),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in plan.limits(facts)),
        f"## Licence\n\n{_licence(plan, facts)}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


_COLUMNS_EXPLAINED = (
    "`mask` holds a class id per pixel, `instances` an object id; in both 0 is background and 255 void, which\n"
    "training should ignore. `objects` lists the objects: `id` is the value in `instances`, `category` the value\n"
    "in `mask`, `bbox` is x, y, width, height in pixels."
)


def _count_table(plan: ExportPlan, counts: Counts) -> str:
    """Images and objects of each class in each split."""
    splits = sorted({split for _, split in counts.images})
    titles = [f"{split} {what}" for split in splits for what in ("images", "objects")]
    lines = [f"| id | class | {' | '.join(titles)} |", "| --- " * (2 + len(titles)) + "|"]
    for number, name in enumerate(plan.classes, start=1):
        cells = [str(found[number, split]) for split in splits for found in (counts.images, counts.objects)]
        lines.append(f"| {' | '.join([str(number), _in_cell(name), *cells])} |")
    return "\n".join(lines) + "\n\nIn masks 0 is background and 255 void (ignore)."


def _licence(plan: ExportPlan, facts: Provenance) -> str:
    if plan.adopted:
        return "The images and their labels are under terms of their own."
    where = f" ({facts.licence_url})" if facts.licence_url else ""
    terms = f"The model {facts.model} is under {facts.licence}{where}."
    if plan.drawn:
        return f"{terms} What it says of images applies to these."
    return f"The pictures are under terms of their own. {terms}"


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
