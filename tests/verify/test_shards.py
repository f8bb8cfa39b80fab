"""Shards that are whole by their checksums and yet not what their stage promises."""

import numpy as np
import pytest

from dsfactory.core.png import decode_index_png, encode_index_png, encode_rgb_png
from dsfactory.core.run import Run
from dsfactory.core.sample import VOID
from dsfactory.core.shard import ShardWriter
from dsfactory.runner.progress import Silent
from dsfactory.stages import STAGES
from dsfactory.verify.run import verify_run


def rewrite(path, stage, change):
    """Write a stage's first shard anew, its first record changed, with checksums that fit."""
    run = Run.open(path)
    reader, spec = run.reader(stage, run.shards()[0]), run.shards()[0]
    records = list(reader.records())
    change(records[0].row, records[0].files)
    with ShardWriter(run.stage_folder(stage), spec, STAGES[stage].writes.schema, reader.mark.fingerprint) as writer:
        for record in records:
            writer.add(record)
        writer.commit()


def repaint(files, name, change):
    pixels = decode_index_png(files[name]).copy()
    change(pixels)
    files[name] = encode_index_png(pixels)


def grow_background(pixels):
    pixels[pixels == 0] = 1


def all_void(pixels):
    pixels[:] = VOID


def unknown_class(pixels):
    pixels[pixels == 1] = 7


def swap_numbers(pixels):
    pixels[:] = np.where(pixels == 1, 200, pixels)


CHANGES = {
    "a value that is no class": (
        lambda row, files: repaint(files, "mask.png", unknown_class), "the values 7, which are no class",
    ),
    "a mask of another size": (
        lambda row, files: files.update({"mask.png": encode_index_png(np.zeros((8, 16), np.uint8))}),
        "16 × 8 pixels, the image 64 × 64",
    ),
    "a mask that is no picture": (lambda row, files: files.update({"mask.png": b"none"}), "not a readable PNG"),
    "colours instead of indices": (
        lambda row, files: files.update({"mask.png": encode_rgb_png(np.zeros((64, 64, 3), np.uint8))}), "mode P or L",
    ),
    "another mask than the instances'": (
        lambda row, files: repaint(files, "mask.png", grow_background), "disagree about what is background",
    ),
    "void in one only": (lambda row, files: repaint(files, "mask.png", all_void), "disagree about what is void"),
    "instance numbers with a gap": (
        lambda row, files: repaint(files, "instances.png", swap_numbers), "instance ids are not 1 to",
    ),
    "another area": (lambda row, files: row.update(area=[0.123]), "the column area says 0.123000"),
    "another void share": (lambda row, files: row.update(void=0.9876), "the column void says 0.987600"),
    "another number of parts": (lambda row, files: row.update(components=[99]), "components says [99]"),
    "a score too many": (lambda row, files: row.update(peak=[0.1, 0.2]), "peak does not hold a value per class"),
    "a false status": (lambda row, files: row.update(status="rejected"), "the status is rejected"),
    "files of a failed sample": (lambda row, files: row.update(status="failed"), "instead of no files"),
    "a missing file": (lambda row, files: files.pop("instances.png"), "has mask.png instead of instances.png"),
    "another prompt": (lambda row, files: row.update(prompt="a cat"), "was made of something else: prompt"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_refine_shard_that_breaks_its_promise(run_path, change):
    alter, says = CHANGES[change]
    rewrite(run_path, "refine", alter)
    found = verify_run(run_path, Silent())
    assert found.faults
    assert all((fault.stage, fault.shard) == ("refine", 0) and "00000000" in str(fault) for fault in found.faults)
    assert any(says in fault.text for fault in found.faults), found.faults


DRAWINGS = {
    "an image of another size": (
        lambda row, files: files.update({"image.png": encode_rgb_png(np.zeros((32, 64, 3), np.uint8))}), "(64, 32)",
    ),
    "evidence that is none": (lambda row, files: files.update({"evidence.safetensors": b"x" * 20}), "eader"),
    "a sample without files": (lambda row, files: files.clear(), "has no files instead of"),
}  # fmt: skip


@pytest.mark.parametrize("change", DRAWINGS)
def test_a_generate_shard_that_breaks_its_promise(run_path, change):
    alter, says = DRAWINGS[change]
    rewrite(run_path, "generate", alter)
    faults = verify_run(run_path, Silent()).faults
    assert [(fault.stage, fault.shard) for fault in faults] == [("generate", 0)]
    assert says in faults[0].text
