"""New words: their vectors reach the text encoder, and attention to all of them counts for the class."""

import pytest
import torch
from safetensors.torch import save_file

from dsfactory.core.classes import ClassSpec
from dsfactory.errors import UserError
from dsfactory.models.adapters import Adapter, find_embeddings, split_embedding
from dsfactory.models.loading import load_pipeline
from dsfactory.models.locate import find_model
from dsfactory.models.textual_inversion import vectors
from dsfactory.stages.generate.tokens import class_tokens
from dsfactory.stages.prompts.vocabulary import find_mentions
from tests.command import call_tiny


def file_of(folder, **tensors):
    save_file(tensors, folder / "word.safetensors")
    return folder / "word.safetensors"


@pytest.mark.parametrize(("family", "names"), [("sd", ["emb_params"]), ("sdxl", ["clip_l", "clip_g"])])
def test_all_vectors_of_a_word_are_read_and_followed(model_folder, tmp_path, family, names):
    model = find_model(str(model_folder(family)))
    torch.manual_seed(0)
    learnt = {name: torch.randn(3, 32) for name in names}
    adapter = Adapter("w", file_of(tmp_path, **learnt), token="gizmo")
    pipeline = load_pipeline(model, "cpu", embeddings=[adapter])
    text = "a gizmo on a dog, two Gizmos"
    classes = [ClassSpec(name="gizmo"), ClassSpec(name="dog")]
    for number, name in enumerate(names):
        suffix = f"_{number + 1}" if number else ""
        tokenizer, encoder = (getattr(pipeline, f"{part}{suffix}") for part in ("tokenizer", "text_encoder"))
        converted = pipeline.maybe_convert_prompt(text, tokenizer)
        ids = tokenizer(converted).input_ids
        gizmo, dog = class_tokens(tokenizer, text, find_mentions(text, classes))
        assert {"gizmo", "gizmo_1", "gizmo_2"} <= {*tokenizer.convert_ids_to_tokens([ids[place] for place in gizmo])}
        assert gizmo[:3] == [2, 3, 4]
        assert tokenizer.convert_ids_to_tokens([ids[place] for place in dog]) == ["dog</w>"]
        table = encoder.get_input_embeddings().weight
        assert torch.equal(table[[ids[place] for place in gizmo[:3]]], learnt[name])


def test_what_does_not_fit_is_said_in_one_line(model_folder, tmp_path):
    model = find_model(str(model_folder("sd")))
    wrong = file_of(tmp_path, emb_params=torch.zeros(2, 768))
    with pytest.raises(
        UserError, match=r"whose text_encoder takes vectors of 32 numbers: it holds emb_params \[2, 768\]"
    ):
        vectors(Adapter("w", wrong, token="gizmo"), model)
    right = file_of(tmp_path, emb_params=torch.zeros(32))
    with pytest.raises(UserError, match="has a token 'a' already"):
        vectors(Adapter("w", right, token="a"), model)
    with pytest.raises(UserError, match="--embedding works for Stable Diffusion 1, 2 and XL only"):
        vectors(Adapter("w", right, token="gizmo"), find_model(str(model_folder("flux"))))
    with pytest.raises(UserError, match="is not there"):
        find_embeddings(("none.safetensors:gizmo",))
    for text in ("word.safetensors", "word.safetensors:", "word.safetensors:two words", ":gizmo"):
        with pytest.raises(ValueError, match="write FILE:TOKEN"):
            split_embedding(text)


def test_the_command(tiny_model, tmp_path):
    torch.manual_seed(0)
    file_of(tmp_path, emb_params=torch.randn(2, 32))
    done = call_tiny(tiny_model, "generate", "--out", "a", "--classes", "gizmo", "--num", "1",
                     "--set", "prompts.pool=0", "--embedding", "word.safetensors:gizmo", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"token": "gizmo"' in (tmp_path / "a" / "generate" / "stage.json").read_text()
