"""The stage: same prompts whatever the shards, the process or the number asked for."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.core.numbering import Numbering
from dsfactory.core.seeds import derive_seed
from dsfactory.core.stage import Machines
from dsfactory.errors import UserError
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.stage import PromptsStage
from dsfactory.stages.prompts.vocabulary import find_mentions


def embed(texts: list[str]) -> npt.NDArray[np.float32]:
    """Letter counts: a fixed, quick stand-in for a text encoder where the encoder is not the point."""
    counts = np.array([[text.lower().count(chr(97 + place)) for place in range(26)] for text in texts], np.float32)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@dataclass(frozen=True)
class Letters:
    """An encoder that needs no model."""

    embed: Callable[[list[str]], npt.NDArray[np.float32]] | None = embed

    def identity(self) -> dict[str, Any]:
        return {"model": "letters"}

    def load(self) -> Callable[[list[str]], npt.NDArray[np.float32]]:
        assert self.embed is not None, "the text encoder was loaded"
        return self.embed

    def on_device(self, machines: Machines) -> "Letters":
        return self


LETTERS, NEVER = Letters(), Letters(None)


def make_stage(folder: Path, classes: str = "dog,bird", encoder: Letters = LETTERS, **settings: Any) -> PromptsStage:
    specs = [ClassSpec(name=name) for name in classes.split(",")]
    (folder / "prompts").mkdir(parents=True, exist_ok=True)
    return PromptsStage(PromptsConfig(**settings), specs, 7, encoder, folder, {})


def rows(stage: PromptsStage, start: int, stop: int) -> list[dict[str, Any]]:
    names = tuple(item["name"] for item in stage.identity()["classes"])
    return [record.row for record in stage.records_of([*Numbering(names, stop).samples(start, stop, 7)])]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PromptsStage:
    stage = make_stage(tmp_path_factory.mktemp("run"))
    stage.load()
    return stage


def test_rows_fit_the_schema_and_interleave_the_classes(run: PromptsStage) -> None:
    found = rows(run, 0, 40)
    pa.Table.from_pylist(found, schema=run.writes.schema)
    assert [row["class_name"] for row in found[:4]] == ["dog", "bird", "dog", "bird"]
    assert [row["index"] for row in found[:4]] == [0, 0, 1, 1]
    assert found[5]["key"] == "00000005"
    assert found[5]["seed"] == derive_seed(7, "bird", 2)
    assert all(row["source"].startswith("coco-val2017:") for row in found)
    assert len({row["prompt"] for row in found}) == 40
    assert all(set(row) == {*run.writes.schema.names} - run.writes.added for row in found)


def test_every_prompt_names_its_class_and_no_other(run: PromptsStage) -> None:
    specs = [ClassSpec(name="dog"), ClassSpec(name="bird")]
    for row in rows(run, 0, 600):
        spans = find_mentions(row["prompt"], specs)
        assert [spec.name for spec, found in zip(specs, spans, strict=True) if found] == row["classes"]


def test_shards_and_totals_change_nothing(run: PromptsStage) -> None:
    whole = rows(run, 0, 30)
    assert rows(run, 0, 7) + rows(run, 7, 8) + rows(run, 8, 30) == whole
    assert rows(run, 12, 20) == whole[12:20]


def test_captions_then_templates_then_counted_reuse(tmp_path: Path) -> None:
    corpus = tmp_path / "my.txt"
    corpus.write_text("A dog on a bed\nA dog in a car\n")
    stage = make_stage(tmp_path, "dog", corpus=str(corpus))
    stage.load()
    sources = [row["source"] for row in rows(stage, 0, 6000)]
    assert sorted(sources[:2]) == ["file:1", "file:2"]
    assert sources[2] == "template"
    assert sources[3].startswith("subclass:")
    size = sources.index(f"{sources[0]}#2")
    assert sources[size : size + 3] == [f"{source}#2" for source in sources[:3]]
    assert not any("#" in source for source in sources[:size])


def test_a_finished_pool_is_read_and_not_made_again(tmp_path: Path, few: str) -> None:
    first = make_stage(tmp_path, corpus=few)
    first.load()
    data = (tmp_path / "prompts" / "pool.json").read_bytes()
    again = make_stage(tmp_path, encoder=NEVER, corpus=few)
    again.load()
    assert rows(again, 0, 50) == rows(first, 0, 50)
    assert (tmp_path / "prompts" / "pool.json").read_bytes() == data
    assert [path.name for path in (tmp_path / "prompts").iterdir()] == ["pool.json"]


def test_a_pool_of_other_inputs_or_a_damaged_one_is_made_again(tmp_path: Path, few: str) -> None:
    make_stage(tmp_path, corpus=few).load()
    data = (tmp_path / "prompts" / "pool.json").read_bytes()
    make_stage(tmp_path, corpus=few, mmr_lambda=1.0).load()
    assert (tmp_path / "prompts" / "pool.json").read_bytes() != data
    for damaged in (data[:100], b"[]", b"{}"):
        (tmp_path / "prompts" / "pool.json").write_bytes(damaged)
        make_stage(tmp_path, corpus=few).load()
        assert (tmp_path / "prompts" / "pool.json").read_bytes() == data


def test_identity_follows_contents_not_places(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("A dog\n")
    two.write_text("A dog\n")
    identity = make_stage(tmp_path, corpus=str(one)).identity()
    assert json.loads(json.dumps(identity)) == identity
    assert make_stage(tmp_path, corpus=str(two)).identity() == identity
    two.write_text("A dog runs\n")
    assert make_stage(tmp_path, corpus=str(two)).identity() != identity
    stops = tmp_path / "stops.txt"
    stops.write_text("night\n")
    assert make_stage(tmp_path, corpus=str(one), stop_words=stops).identity() != identity
    assert make_stage(tmp_path, "dog,cat", corpus=str(one)).identity() != identity


def test_another_class_in_the_run_keeps_the_ranking_of_untouched_captions(tmp_path: Path) -> None:
    corpus = tmp_path / "my.txt"
    corpus.write_text("".join(f"A dog {word}\n" for word in ["runs", "sits", "eats", "sleeps", "barks"]) + "A cat\n")
    alone, beside = make_stage(tmp_path, "dog", corpus=str(corpus)), make_stage(tmp_path, "dog,cat", corpus=str(corpus))
    alone.load()
    beside.load()
    assert [row["prompt"] for row in rows(alone, 0, 5)] == [row["prompt"] for row in rows(beside, 0, 10)[::2]]


def test_a_class_unknown_to_the_corpus_warns_and_goes_on(
    tmp_path: Path, few: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = make_stage(tmp_path, "axolotl,dog", corpus=few)
    with caplog.at_level(logging.WARNING):
        stage.load()
    assert [record.message for record in caplog.records] == ["no caption mentions axolotl: templates are used"]
    assert rows(stage, 0, 1)[0]["prompt"] == "a photo of an axolotl"


def test_no_encoder_is_loaded_for_templates_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = make_stage(tmp_path, "dog,bird", encoder=NEVER, pool=0)
    stage.load()
    assert caplog.records == []
    assert all(row["source"].startswith(("template", "subclass:")) for row in rows(stage, 0, 20))


def test_several_objects_take_turns(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, "dog,cat,person", objects="1-3")
    stage.load()
    found = rows(stage, 0, 180)
    specs = [ClassSpec(name=name) for name in ("dog", "cat", "person")]
    for row in found:
        assert len(row["classes"]) == row["index"] % 3 + 1
        assert row["classes"][0] == row["class_name"]
        spans = find_mentions(row["prompt"], specs)
        assert {spec.name for spec, place in zip(specs, spans, strict=True) if place} == set(row["classes"])
    pairs = [row for row in found if len(row["classes"]) == 2]
    assert all(row["source"].startswith("coco") for row in pairs)


def test_more_objects_than_classes(tmp_path: Path, few: str) -> None:
    make_stage(tmp_path, "dog,bird", objects="1-3", corpus=few).load()
    with pytest.raises(UserError, match="asks for 3 classes in an image: the run has 2"):
        make_stage(tmp_path, "dog,bird", objects="3")


@pytest.mark.parametrize(
    "settings",
    [
        {"corpus": "missing.csv"},
        {"corpus": "{folder}/no_column.csv"},
        {"corpus": "{folder}/empty.txt"},
        {"stop_words": "{folder}/missing.txt"},
        {"templates": "{folder}/no_column.csv"},
    ],
)
def test_bad_input_is_found_before_anything_is_written(tmp_path: Path, settings: dict[str, str]) -> None:
    (tmp_path / "no_column.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.txt").write_text("")
    filled = {name: value.format(folder=tmp_path) for name, value in settings.items()}
    with pytest.raises(UserError) as error:
        make_stage(tmp_path, **filled)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "prompts" / "pool.json").exists()


PROCESS = """
import json, sys
from pathlib import Path
from tests.stages.prompts.test_stage import make_stage, rows
stage = make_stage(Path(sys.argv[1]), "dog,bird,person", objects="1-2", pool=200, corpus=sys.argv[2])
stage.load()
print(json.dumps(rows(stage, 0, 300)))
"""


def test_processes_with_other_hash_seeds_agree(tmp_path: Path, few: str) -> None:
    outputs = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", PROCESS, str(folder), few]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.append((done.stdout, (folder / "prompts" / "pool.json").read_bytes()))
    assert outputs[0] == outputs[1]
    assert len(json.loads(outputs[0][0])) == 300


def test_with_a_real_clip_text_encoder(tmp_path: Path, few: str) -> None:
    torch = pytest.importorskip("torch")
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(code) for code in range(97, 123)]
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=77
    )
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(pieces), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    encoder = CLIPTextModel(config).eval()

    def clip(texts: list[str]) -> npt.NDArray[np.float32]:
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        with torch.no_grad():
            pooled = encoder(**tokens).pooler_output
        return np.asarray(torch.nn.functional.normalize(pooled, dim=-1).float())

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        stage = make_stage(tmp_path / name, "dog,bird", encoder=Letters(clip), corpus=few, pool=20)
        stage.load()
    assert (tmp_path / "one" / "prompts" / "pool.json").read_bytes() == (
        tmp_path / "two" / "prompts" / "pool.json"
    ).read_bytes()
    prompts = [row["prompt"] for row in rows(stage, 0, 40)]
    vectors = clip(prompts[::2])
    ranked = vectors @ vectors.T
    letters_first = make_stage(tmp_path, "dog,bird", corpus=few, pool=20)
    letters_first.load()
    assert prompts != [row["prompt"] for row in rows(letters_first, 0, 40)]
    # Greedy diversity: the second caption is among the least like the first.
    assert ranked[0, 1] <= np.quantile(ranked[0, 1:], 0.3)
