import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dsfactory.core.classes import ClassSpec
from dsfactory.core.sample import Record
from dsfactory.core.shard import ShardReader, ShardSpec, ShardWriter
from dsfactory.errors import DamagedShard, UserError
from dsfactory.stages.generate.config import GenerateConfig
from dsfactory.stages.generate.evidence import Evidence
from dsfactory.stages.generate.stage import GenerateStage
from dsfactory.stages.prompts.stage import PromptsStage

CLASSES = (ClassSpec(name="dog", synonyms=("hound",)), ClassSpec(name="bird"))
PROMPTS = ["a photo of a hound", "a bird", "a dog and a bird", "the light"]
SPEC = ShardSpec(0, 4, 8)


@pytest.fixture
def upstream(tmp_path):
    columns = {"class_name": "dog", "index": 0, "source": "test", "classes": ["dog"]}
    with ShardWriter(tmp_path, SPEC, PromptsStage.writes.schema, "mark") as writer:
        for number, prompt in zip(range(SPEC.start, SPEC.stop), PROMPTS, strict=True):
            classes = ["dog", "bird"] if "and" in prompt else ["bird" if "bird" in prompt else "dog"]
            row = {**columns, "key": f"{number:08d}", "number": number, "prompt": prompt, "seed": 100 + number}
            writer.add(Record(row["key"], row | {"classes": classes}))
        writer.commit()
    return ShardReader(tmp_path, SPEC)


def stage(folder, **changes):
    settings = {"model": str(folder), "width": 64, "height": 96, "steps": 2, "device": "cpu", "batch_size": 3}
    return GenerateStage(GenerateConfig(**(settings | changes)), CLASSES)


def records(stage, upstream):
    stage.load()
    return list(stage.process(SPEC, upstream))


def test_a_record_has_the_prompt_the_image_and_the_evidence(model_folder, upstream):
    drawn = records(stage(model_folder("sd")), upstream)
    table = pa.Table.from_pylist([record.row for record in drawn], schema=GenerateStage.writes.schema)
    assert [record.row for record in drawn] == table.to_pylist()
    assert [record.key for record in drawn] == ["00000004", "00000005", "00000006", "00000007"]
    first = drawn[0].row
    assert (first["model"], first["width"], first["height"]) == ("sd", 64, 96)
    assert (first["image_seed"], first["attempts"], first["status"], first["reason"]) == (104, 1, "ok", "")
    assert first["prompt"] == PROMPTS[0] and first["source"] == "test"
    assert [record.row["queried"] for record in drawn] == [["caption"]] * 2 + [["caption"] * 2, ["class-prompt"]]
    for record in drawn:
        image = Image.open(io.BytesIO(record.files["image.png"]))
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 96))
        evidence = Evidence.from_bytes(record.files["evidence.safetensors"])
        assert evidence.cross.keys() == {(12, 8), (6, 4)} and evidence.affinity.keys() == {(12, 8)}
        assert len(evidence.cross[12, 8]) == len(record.row["classes"])


def test_a_shard_drawn_again_is_the_same_to_the_byte(model_folder, upstream):
    first, second = (records(stage(model_folder("sd")), upstream) for _ in range(2))
    assert first == second


def test_affinity_can_be_left_out(model_folder, upstream):
    record = records(stage(model_folder("sd"), affinity=False), upstream)[0]
    assert Evidence.from_bytes(record.files["evidence.safetensors"]).affinity == {}


def test_a_failed_sample_has_a_row_and_no_files(model_folder, upstream):
    drawing = stage(model_folder("sd"))
    drawing.load()
    for weight in drawing._sampler._pipeline.vae.decoder.conv_out.parameters():
        weight.data.zero_()
    drawn = list(drawing.process(SPEC, upstream))
    assert all(record.files == {} for record in drawn)
    assert {(record.row["status"], record.row["attempts"]) for record in drawn} == {("failed", 2)}
    assert {record.row["reason"] for record in drawn} == {"the image is one flat colour"}
    assert pa.Table.from_pylist([record.row for record in drawn], schema=GenerateStage.writes.schema).num_rows == 4


def test_the_identity_is_json_and_holds_what_decides_the_image(model_folder):
    base = stage(model_folder("sd")).identity()
    assert json.loads(json.dumps(base)) == base
    assert stage(model_folder("sd"), batch_size=1, device="auto").identity() == base
    for change in ({"steps": 3}, {"width": 128}, {"guidance": 2.0}, {"negative_prompt": "blur"}, {"affinity": False}):
        assert stage(model_folder("sd"), **change).identity() != base
    assert stage(model_folder("sd2")).identity()["model"] != base["model"]


@pytest.mark.parametrize(
    ("family", "size", "named"),
    [
        ("sd", (768, 512), True),
        ("sd", (512, 768), True),
        ("sd", (512, 384), False),
        ("sd", (768, 768), False),
        ("sdxl", (1152, 896), True),
        ("sdxl", (1024, 768), False),
        ("flux", (1152, 896), False),
    ],
)
def test_only_runs_whose_finest_grid_was_left_out_are_told_from_older_ones(model_folder, family, size, named):
    width, height = size
    assert ("oblong_grids" in stage(model_folder(family), width=width, height=height).identity()) == named


def test_only_runs_of_flux_schnell_are_told_from_those_of_twice_the_text(model_folder, tmp_path):
    assert "text_tokens" not in stage(model_folder("sd")).identity()
    assert stage(model_folder("flux")).identity()["text_tokens"] == 256
    copy = shutil.copytree(model_folder("flux"), tmp_path / "flux")
    config = json.loads((copy / "transformer/config.json").read_text())
    (copy / "transformer/config.json").write_text(json.dumps(config | {"guidance_embeds": True}))
    assert "text_tokens" not in stage(copy).identity()


def test_naming_a_default_changes_nothing(model_folder):
    open_size = stage(model_folder("sd"), width=None, height=None, steps=None)
    named = stage(model_folder("sd"), width=64, height=64, steps=25, guidance=7.5)
    assert open_size.identity() == named.identity()
    assert (open_size.resolved.width, open_size.resolved.height) == (64, 64)


def test_an_unknown_model_is_refused_before_anything_is_loaded():
    with pytest.raises(UserError, match="did you mean 'pocket'"):
        stage("pockt").identity()


def test_asking_what_the_stage_is_loads_no_torch(model_folder):
    code = (
        "import sys\n"
        "from dsfactory.stages.generate.stage import GenerateStage\n"
        "from dsfactory.stages.generate.config import GenerateConfig\n"
        f"GenerateStage(GenerateConfig(model={str(model_folder('sd'))!r}), ()).identity()\n"
        "print({'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


def test_images_differ_between_samples(model_folder, upstream):
    drawn = records(stage(model_folder("sd")), upstream)
    pixels = [np.asarray(Image.open(io.BytesIO(record.files["image.png"]))).astype(int) for record in drawn]
    assert min(np.abs(one - other).max() for i, one in enumerate(pixels) for other in pixels[:i]) > 10


def test_a_prompt_of_a_class_that_the_run_does_not_have_is_damage(model_folder, upstream):
    drawing = GenerateStage(stage(model_folder("sd"))._config, CLASSES[1:])
    drawing.load()
    with pytest.raises(DamagedShard, match="sample 00000004 names the class 'dog', which the run does not have"):
        next(drawing.process(SPEC, upstream))
