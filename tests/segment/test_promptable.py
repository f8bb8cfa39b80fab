"""Promptable segmenters: tiny models of the real classes with random weights, saved and read as a checkpoint is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dsfactory.errors import UserError
from dsfactory.segment.promptable import Promptable, find_promptable
from dsfactory.segment.prompts import Prompt
from tests.segment.tiny_sams import SAMS

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
ONE = Prompt((5, 5, 30, 30), ((12, 12), (20, 20)))
OTHER = Prompt((32, 8, 58, 36), ((45, 20),), ((12, 12),))


@pytest.fixture(scope="module", params=SAMS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    SAMS[request.param]().save_pretrained(folder)
    return folder


def test_each_object_has_a_mask_of_the_images_size_and_a_score(checkpoint: Path) -> None:
    model = Promptable(checkpoint, torch.device("cpu"))
    found = model.masks(IMAGE, [ONE, OTHER])
    assert [(mask.shape, mask.dtype) for mask, _ in found] == [((40, 60), np.bool_)] * 2
    assert all(0 <= score <= 1 for _, score in found)


def test_an_objects_mask_does_not_depend_on_what_else_is_asked(checkpoint: Path) -> None:
    model = Promptable(checkpoint, torch.device("cpu"))
    together = model.masks(IMAGE, [ONE, OTHER])
    alone = [model.masks(IMAGE, [prompt])[0] for prompt in (ONE, OTHER)]
    for (mask, score), (mask_alone, score_alone) in zip(together, alone, strict=True):
        assert score == pytest.approx(score_alone, abs=1e-3)
        assert (mask == mask_alone).mean() > 0.995


def test_what_is_no_promptable_segmenter_is_refused_in_one_line(tmp_path: Path, checkpoint: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(UserError, match="is not the folder of a promptable segmenter"):
        Promptable(tmp_path / "none", cpu)
    assert find_promptable("nobody/no-such-model") is None
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="a promptable segmenter is sam"):
        Promptable(tmp_path, cpu)
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    with pytest.raises(UserError, match="cannot be loaded") as error:
        Promptable(tmp_path, cpu)
    assert "\n" not in str(error.value)
