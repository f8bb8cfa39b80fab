"""``croissant.json``: the dataset as Croissant 1.1 (https://docs.mlcommons.org/croissant), with its RAI fields.

It names no date, so that equal exports have equal bytes; who publishes one adds it.
"""

import json
from typing import Any

from dsfactory.formats.provenance import COLUMNS, TABLE, Counts, Provenance
from dsfactory.formats.writer import ExportPlan

CROISSANT = "croissant.json"

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_MEANINGS = {
    "image": "File of the image, without the folder that the format puts it in",
    "key": "Name of the sample, unique in the dataset",
    "split": "train, val or test",
    "synthetic": "Whether a generative model made the image, or a part of it",
    "digital_source_type": "IPTC digital source type; empty for a picture that nobody has changed",
    "source": "File of a given picture, or the caption that the prompt was taken from",
    "parents": "Keys of the samples that it was made of",
    "model": "Model that drew or labelled the image",
    "revision": "Commit of the model, or a hash of its files",
    "adapters": "LoRAs and textual inversions",
    "prompt": "Text that the image was drawn to",
    "seed": "Seed of the image",
    "steps": "Denoising steps",
    "guidance": "Classifier-free guidance scale",
    "trust": "Least trust of its objects, from 0 to 1",
    "corrected": "Whether a person corrected its labels",
}
_TYPES = {"synthetic": "sc:Boolean", "corrected": "sc:Boolean", "guidance": "sc:Float", "trust": "sc:Float"}


def croissant(plan: ExportPlan, facts: Provenance, counts: Counts, table_sha256: str) -> bytes:
    """The description of an export.

    Args:
        plan: what it is.
        facts: what its samples have in common.
        counts: of its images and objects.
        table_sha256: of ``provenance.csv``, which is its record set.
    """
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{'synthetic-' if plan.drawn else ''}segmentation-{'-'.join(plan.classes)}"[:120],
        "description": f"{plan.origin(facts)} {plan.checked}{f' {plan.remark}' if plan.remark else ''}",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "version": "1.0.0",
        "citeAs": f"@software{{dsfactory, title = {{dsfactory}}, version = {{{facts.version}}}}}",
        "license": facts.licence_url or facts.licence,
        "creator": {"@type": "sc:Organization", "name": f"dsfactory {facts.version}"},
        "keywords": ["segmentation", *(["synthetic"] if plan.drawn else []), *plan.classes],
        **_responsible(plan, facts, counts),
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": TABLE, "name": TABLE, "contentUrl": TABLE,
                "encodingFormat": "text/csv", "sha256": table_sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet", "@id": "samples", "name": "samples",
                "description": "Where each sample comes from.",
                "key": {"@id": "samples/key"},
                "field": [_field(name) for name in COLUMNS],
            }
        ],
    }  # fmt: skip
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _field(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"samples/{name}",
        "name": name,
        "description": _MEANINGS[name],
        "dataType": _TYPES.get(name, "sc:Text"),
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
    }


def _responsible(plan: ExportPlan, facts: Provenance, counts: Counts) -> dict[str, Any]:
    """The fields of the responsible AI extension (http://mlcommons.org/croissant/RAI/)."""
    made = ", ".join(f"{count} {name or 'given pictures'}" for name, count in sorted(counts.media.items()))
    return {
        "rai:dataCollection": f"{plan.origin(facts)} By IPTC digital source type: {made}.",
        "rai:dataCollectionType": ["Synthetic data" if plan.drawn else "Given pictures"],
        "rai:dataAnnotationProtocol": [
            plan.checked if plan.adopted else f"Masks from the attention of {facts.model}. {plan.checked}"
        ],
        "rai:machineAnnotationTools": [f"dsfactory {facts.version}"],
        "rai:annotationsPerItem": "1",
        "rai:dataManipulationProtocol": "; ".join(f"{name}: {value}" for name, value in facts.settings),
        "rai:dataAnnotationAnalysis": list(facts.quality),
        "rai:dataBiases": [f"The images have the biases of {facts.model} and of the pictures that it was trained on."]
        if plan.generated
        else ["The pictures have the biases of those who gave them."],
        "rai:dataLimitations": list(plan.limits(facts)),
        "rai:dataUseCases": ["Training of segmentation networks; test them on real pictures with labels of people."],
        "rai:personalSensitiveInformation": [
            "None is recorded. Images that a model generates may look like persons whom it was trained on."
            if plan.generated
            else "The pictures were given, and were not looked through for persons."
        ],
    }
