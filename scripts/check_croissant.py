"""Validate the ``croissant.json`` of exports with MLCommons' own tool, and load their records.

    python -m scripts.check_croissant runs/demo/export/coco runs/demo/export/voc

Needs ``pip install mlcroissant``, in an environment that need not have dsfactory. Ends with 1 where one is not valid.
"""

import argparse
import csv
import sys
from pathlib import Path


def check(folder: Path) -> str:
    """A line on an export.

    Raises:
        ValueError: the records are not those of ``provenance.csv``, or Croissant is not valid.
    """
    import mlcroissant

    dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
    if dataset.metadata.ctx.issues.errors:
        raise ValueError(dataset.metadata.ctx.issues.report())
    records = list(dataset.records("samples"))
    with open(folder / "provenance.csv", newline="", encoding="utf-8") as file:
        keys = [row["key"] for row in csv.DictReader(file)]
    found = [record["samples/image"].decode() for record in records]
    if len(found) != len(keys) or not all(found):
        raise ValueError(f"{len(found)} records of {len(keys)} samples")
    return (
        f"{folder}: valid Croissant {dataset.metadata.ctx.conforms_to.value.rpartition('/')[2]}, {len(found)} records"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", nargs="+", type=Path, help="folders of exports")
    try:
        for folder in parser.parse_args().exports:
            print(check(folder))
    except ValueError as error:
        sys.exit(f"{folder}: {error}")


if __name__ == "__main__":
    main()
