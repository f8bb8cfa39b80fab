"""The published weights under our names."""

import pytest
import torch
from safetensors.torch import load_file

from dsfactory.segment.lite import LiteBackbone
from scripts import lite_weights
from scripts.lite_weights import convert

KINDS = ("weight", "bias", "running_mean", "running_var")


def published(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our state under the names of the package that publishes it, with a classifier."""
    theirs = {
        "_conv_stem.weight": state["stem.0.weight"],
        "_conv_head.weight": torch.zeros(1),
        "_bn1.weight": torch.ones(1),
    }
    theirs |= {f"_bn0.{kind}": state[f"stem.1.{kind}"] for kind in (*KINDS, "num_batches_tracked")}
    blocks = dict.fromkeys(tuple(name.split(".")[1:3]) for name in state if name.startswith("stages."))
    for number, (stage, block) in enumerate(blocks):
        convolutions = ("depthwise", "project") if stage == "0" else ("expand", "depthwise", "project")
        for place, kind in enumerate(convolutions):
            start = f"stages.{stage}.{block}.layers.{place}"
            theirs[f"_blocks.{number}._{kind}_conv.weight"] = state[f"{start}.0.weight"]
            norm = place + 3 - len(convolutions)
            for what in (*KINDS, "num_batches_tracked"):
                theirs[f"_blocks.{number}._bn{norm}.{what}"] = state[f"{start}.1.{what}"]
    return theirs


def test_every_weight_finds_its_place_and_the_classifier_is_left_out(tmp_path, monkeypatch, capsys):
    state = LiteBackbone().state_dict()
    source, out = tmp_path / "lite.pth", tmp_path / "lite.safetensors"
    torch.save(published(state), source)
    monkeypatch.setattr("sys.argv", ["lite_weights", str(source), str(out)])
    lite_weights.main()
    found = load_file(out)
    assert found.keys() == state.keys()
    assert all(torch.equal(value, state[name].to(value.dtype)) for name, value in found.items())
    assert {value.dtype for name, value in found.items() if value.dim() == 4} == {torch.float16}
    assert str(out) in capsys.readouterr().out


def test_another_network_is_refused():
    state = published(LiteBackbone().state_dict())
    del state["_blocks.3._project_conv.weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        convert(state)


@pytest.mark.parametrize("name", ["_blocks.3._se_reduce.weight", "_blocks.16._project_conv.weight", "classifier.bias"])
def test_what_has_more_is_refused(name):
    state = published(LiteBackbone().state_dict()) | {name: torch.zeros(1)}
    with pytest.raises(RuntimeError, match=f"not an EfficientNet-Lite0: it has {name}"):
        convert(state)
