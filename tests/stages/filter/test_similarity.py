import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, CLIPConfig, CLIPModel

from dsfactory.errors import UserError
from dsfactory.stages.filter.similarity import ClipJudge
from tests.tiny_models import tiny_tokenizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A CLIP model of a few thousand random weights, with its tokenizer and image processor."""
    path = tmp_path_factory.mktemp("clip")
    tokenizer = tiny_tokenizer()
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(
            text_config={**tower, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id},
            vision_config={**tower, "image_size": 32, "patch_size": 8},
            projection_dim=8,
        )
    ).save_pretrained(path)
    tokenizer.save_pretrained(path)
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(path)
    assert AutoImageProcessor.from_pretrained(path).crop_size["height"] == 32
    return path


def test_each_image_gets_a_probability_per_class(checkpoint):
    judge = ClipJudge(str(checkpoint), ["dog", "traffic light"], torch.device("cpu"))
    images = [np.zeros((40, 64, 3), np.uint8), np.full((32, 32, 3), 200, np.uint8)]
    found = list(judge.probabilities(images))
    assert [row.shape for row in found] == [(2,), (2,)]
    assert all(row.min() > 0 and row.sum() < 1 for row in found)
    assert not np.allclose(found[0], found[1])


def test_they_do_not_depend_on_the_batch(checkpoint):
    judge = ClipJudge(str(checkpoint), ["dog"], torch.device("cpu"))
    images = [np.full((32, 32, 3), level, np.uint8) for level in (0, 90, 250)]
    together = list(judge.probabilities(images))
    alone = [next(judge.probabilities([image])) for image in images]
    assert np.allclose(together, alone, atol=1e-6)


def test_no_such_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"CLIP model .* cannot be loaded"):
        ClipJudge(str(tmp_path / "none"), ["dog"], torch.device("cpu"))
