"""``dsfactory trial``: a table, a page, and exit code 3 for a class that the model does not make."""

import json

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from dsfactory.jobs.second_look import Look
from dsfactory.jobs.trial import _class
from tests.command import called
from tests.tiny_models import tiny_tokenizer


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = tiny_tokenizer()
    text = {"vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "eos_token_id": tokenizer.eos_token_id}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}  # fmt: skip
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.long
def test_what_a_trial_says(tiny_model, tiny_clip, tmp_path):
    arguments = ("trial", "--model", str(tiny_model), "--classes", "dog,bird", "--num", "2", "--out", "t",
                 "--config", "run.yaml")  # fmt: skip
    (tmp_path / "run.yaml").write_text(
        "generate: {steps: 2, width: 64, height: 64}\nrefine: {min_box: 0}\nprompts: {pool: 0}\n"
    )
    done = called(*arguments, "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert done.returncode == said["exit_code"] == (3 if any(item["faults"] for item in said["classes"]) else 0)
    for item in said["classes"]:
        assert item["images"] == 2 and 0 <= item["recognised"] <= 1
        assert item["mirrored"] is None or 0 <= item["mirrored"] <= 1
    assert said["seconds_per_image"]["generate"] > 0 and said["memory_gb"] > 0 and said["cost"]["bytes"] > 0
    assert (tmp_path / "t" / "report.html").is_file()
    judged = called(*arguments, "--judge", str(tiny_clip), cwd=tmp_path)  # nothing is made again
    assert judged.returncode in (0, 3) and f"{tiny_clip} says what the images show" in judged.stdout
    lines = judged.stdout.splitlines()
    assert lines[0].split() == ["class", "recognised", "trust", "mirrored", "kept"]
    assert [line.split()[0] for line in lines[1:3]] == ["dog", "bird"]
    assert lines[-2].startswith("1,000 images: about ") and lines[-1].startswith("t/report.html")


def test_a_judge_that_is_none_is_refused_before_anything_is_made(tiny_model, tmp_path):
    for judge, line in ((str(tiny_model), "cannot be loaded"), ("./nobody", "is not there")):
        done = called("trial", "--model", str(tiny_model), "--classes", "dog", "--judge", judge, cwd=tmp_path)
        assert done.returncode == 2 and line in done.stderr and len(done.stderr.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


def test_the_judge_tells_images_by_its_own_numbers(tiny_clip):
    from dsfactory.models.judge import Judge

    judge = Judge(str(tiny_clip), "cpu")
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    texts = ["a photo of a dog", "a cat on the light", "the traffic"]
    assert {texts[judge.best(image, texts)], texts[::-1][judge.best(image, texts[::-1])]} == {
        max(texts, key=lambda text: judge.best(image, [text, *(other for other in texts if other != text)]) == 0)
    }


def test_a_class_fails_where_less_than_half_is_recognised_or_kept():
    rows = [
        {"key": str(number), "class_name": "dog", "status": status}
        for number, status in enumerate(("ok", "ok", "rejected", "failed"))
    ]
    looks = [Look("dog", True, 0.8), Look("dog", False, 0.6), Look("bird", False, None)]
    found = _class("dog", rows, looks, {"0": 0.95, "1": 0.85})
    assert (found.images, found.recognised, found.kept, found.faults) == (3, 0.5, 0.5, ())
    assert found.trust == pytest.approx(0.9) and found.mirrored == pytest.approx(0.7)
    failing = _class("dog", [*rows, rows[2]], [Look("dog", False, None)] * 3, {})
    assert failing.faults == ("0 of 3 images are recognised", "2 of 5 images have a mask")
    assert _class("dog", rows, [Look("dog", None, None)], {}).recognised is None
