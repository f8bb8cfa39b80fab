"""The test beds: scenes with exact masks, two kinds of models, a training that goes on after a kill."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("resvg_py")

from research.testbeds import train
from research.testbeds.models import Bed
from research.testbeds.world import Scene, render
from scripts.pocket.captions import load_captions
from scripts.pocket.scenes import group_by_class
from scripts.pocket.stickers import load_stickers
from scripts.pocket.text import train_tokenizer


@pytest.fixture(scope="module")
def scenes(packages: Path, caption_file: Path) -> dict[str, list[Scene]]:
    groups = group_by_class(load_stickers(packages, ("style-a",), {"dog": ("dog",), "bird": ("bird",)}))
    captions = load_captions(caption_file)
    kinds = ("one", "several", "twins", "empty", "any")
    return {kind: [render(groups, captions, 1, 64, number, kind) for number in range(6)] for kind in kinds}


def test_each_kind_of_scene_shows_what_it_says(scenes: dict[str, list[Scene]]) -> None:
    assert all(len(scene.classes) == 1 for scene in scenes["one"])
    assert all(set(scene.classes) == {"dog", "bird"} for scene in scenes["several"])
    for scene in scenes["twins"]:
        first, second = scene.classes
        assert first == second and {1, 2} <= {*np.unique(scene.labels).tolist()}
        grown = np.pad(scene.labels == 1, 1)
        near = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:] | grown[:-2, :-2] | grown[2:, 2:]
        assert (near & (scene.labels == 2)).any(), "the two do not touch"
    assert all(not scene.labels.any() and not scene.classes for scene in scenes["empty"])
    assert all(scene.caption for found in scenes.values() for scene in found)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beds")
    np.save(folder / "latents.npy", np.random.default_rng(0).normal(size=(8, 8, 16, 16)).astype(np.float16))
    captions = ["a dog", "a bird on the grass"] * 4
    (folder / "captions.txt").write_text("\n".join(captions) + "\n")
    train_tokenizer(captions, merges=20).save_pretrained(folder / "tokenizer")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("kind", ["unet", "joint"])
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    kind: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "learning_rate", lambda peak, fraction: peak)  # the real one follows the clock
    arguments = [kind, "--work", str(work), "--out", str(tmp_path), "--minutes", "60", "--batch-size", "2"]
    found = []
    for parts in ((2,), (1, 1)):
        for steps in parts:
            train.main([*arguments, "--max-steps", str(steps)])
        found.append(torch.load(work / f"{kind}.pt", weights_only=True))
        (work / f"{kind}.pt").unlink()
    whole, resumed = found
    assert (whole["step"], resumed["step"]) == (2, 2)
    assert all(torch.equal(value, resumed["image_model"][name]) for name, value in whole["image_model"].items())


@pytest.mark.parametrize("kind", ["unet", "joint"])
def test_a_bed_is_saved_small_and_draws_what_it_drew(kind: str, work: Path, tmp_path: Path) -> None:
    train.main([kind, "--work", str(work), "--out", str(tmp_path / "bed"), "--minutes", "0.0001", "--batch-size", "2"])
    size = sum(path.stat().st_size for path in (tmp_path / "bed").rglob("*") if path.is_file())
    assert size < 20e6
    one, two = (Bed.load(tmp_path / "bed", torch.device("cpu")) for _ in range(2))
    drawn = one.draw(["a dog", "a bird"], seed=3, steps=2)
    assert drawn.shape == (2, 8, 16, 16) and torch.isfinite(drawn).all()
    assert torch.equal(drawn, two.draw(["a dog", "a bird"], seed=3, steps=2))
