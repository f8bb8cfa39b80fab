"""Judges that are checkpoints."""

import pytest
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from dsfactory.errors import UserError
from dsfactory.stages.select.hard import Judge
from tests.stages.filter.scenes import draw_scene


def test_a_checkpoint_is_asked_in_the_runs_own_ids_and_has_to_know_its_classes(tmp_path):
    config = SegformerConfig(num_encoder_blocks=4, depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4,
                             decoder_hidden_size=8, id2label={0: "sky", 1: "Square", 2: "disc"},
                             label2id={"sky": 0, "Square": 1, "disc": 2})  # fmt: skip
    SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "judge")
    found = Judge(tmp_path / "judge", ["disc", "square"]).labels(draw_scene(0).image)
    assert found.shape == (32, 32) and found.max() <= 2
    with pytest.raises(UserError, match="does not know 'moon'; it knows sky, Square, disc"):
        Judge(tmp_path / "judge", ["moon"])
