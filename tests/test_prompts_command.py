"""``dsfactory prompts preview`` shows what ``generate`` asks for, and the bundled model draws what is steered."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from dsfactory.core.run import Run
from dsfactory.core.sample import Record
from dsfactory.models.presets import PRESETS
from tests.command import call_tiny, called, command, tree

STEERED = ["--scene", "in the snow,at night", "--style", "watercolour", "--objects", "1-2", "--seed", "5"]


def test_preview_shows_what_generate_asks_for(tiny_model, tmp_path):
    shown = called("prompts", "preview", "--model", str(tiny_model), "--classes", "dog,bird", "--num", "4", *STEERED,
                    "--json", cwd=tmp_path)  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert tree(tmp_path) == {}
    done = call_tiny(tiny_model, "generate", "--num", "4", "--shard-size", "3", *STEERED, "--out", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tables = [pq.read_table(path).to_pylist() for path in sorted((tmp_path / "a/prompts").glob("*.parquet"))]
    found = json.loads(shown.stdout)
    assert found["prompts"] == [row for table in tables for row in table]
    assert {name: sum(counts.values()) for name, counts in found["sources"].items()} == {"dog": 4, "bird": 4}
    assert found["attributes"] == {"style": {"watercolour": 8}, "scene": {"in the snow": 4, "at night": 4}}
    drawn = pq.read_table(tmp_path / "a/generate/00000.parquet").to_pylist()
    assert [row["scene"] for row in drawn] == [row["scene"] for row in tables[0]]


def test_preview_in_words(tmp_path):
    done = called("prompts", "preview", "--classes", "dog", "--num", "3", "--weather", "foggy", "--set",
                   "prompts.pool=0", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"dog  {'template':<24} a photo of a dog, foggy"
    assert "3 prompts:" in lines and any(line.split() == ["weather", "3", "foggy"] for line in lines)


def test_bad_input_is_one_line(tmp_path):
    for flags, said in (
        (["--classes", "dog,boat", "--scene", "on a boat"], "names the class 'boat'"),
        (["--classes", "dog", "--style", "a,,b"], "has no word"),
        (["--classes", "dog", "--model", "owner/nowhere"], "its text encoder ranks the captions"),
        ([], "no class is named"),
    ):
        offline = "--model" in flags
        # A dry run downloads nothing and needs no encoder.
        for name in (["prompts", "preview"],) if offline else (["prompts", "preview"], ["generate", "--dry-run"]):
            done = (
                command(*name, *flags, cwd=tmp_path, HF_HUB_OFFLINE="1")
                if offline
                else called(*name, *flags, cwd=tmp_path)
            )
            assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


@pytest.mark.long
def test_the_bundled_model_draws_the_scene(tmp_path):
    done = called("generate", "--classes", "dog,cat", "--num", "4", "--scene", "in the snow,at night", "--steps", "8",
                   "--out", "a", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    light = {"in the snow": [], "at night": []}
    run = Run.open(tmp_path / "a")
    for spec in run.shards():
        for record in run.reader("generate", spec).records():
            light[record.row["scene"]].append(_border_light(record))
    assert min(light["in the snow"]) > max(light["at night"]), light


def _border_light(record: Record) -> float:
    """Mean of the pixels along the picture's four edges, 0 to 255."""
    import cv2

    image = cv2.imdecode(np.frombuffer(record.files["image.png"], np.uint8), cv2.IMREAD_GRAYSCALE)
    edges = np.concatenate([image[:4].ravel(), image[-4:].ravel(), image[:, :4].ravel(), image[:, -4:].ravel()])
    return float(edges.mean())


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_presets_steer_away_from_flaws_where_guidance_can(preset):
    negative = preset.defaults.negative_prompt
    as_number = preset.defaults.scheduler == "lcm" or preset.family in ("flux", "sana")
    if preset.bundled or preset.defaults.guidance <= 1 or as_number:
        assert negative is None
    else:
        assert "blurry" in negative and not {"cartoon", "painting", "drawing"} & set(negative.split(", "))
