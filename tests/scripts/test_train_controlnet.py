"""The pocket ControlNet's training: it goes on where it was stopped, and what it writes is drawn with."""

import json

import numpy as np
import pytest
import torch

from scripts.pocket.train_controlnet import main


@pytest.fixture
def work(tmp_path):
    """Six scenes of noise with a layout each."""
    folder, random = tmp_path / "work", np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "images.npy", random.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8))
    np.save(folder / "labels.npy", random.integers(0, 3, (6, 64, 64), dtype=np.uint8))
    row = {"caption": "a dog and a bird", "classes": ["dog", "bird"], "background": "grass"}
    (folder / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 6)
    return folder


def test_training_goes_on_where_it_was_stopped(work, model_folder, tmp_path, capsys):
    line = ["--model", str(model_folder("pocket")), "--work", str(work), "--batch-size", "2", "--minutes", "60",
            "--device", "cpu", "--max-steps"]  # fmt: skip
    main([*line, "2", "--out", str(tmp_path / "a")])
    first = torch.load(work / "controlnet.pt", weights_only=True)
    main([*line, "1", "--out", str(tmp_path / "a")])
    second = torch.load(work / "controlnet.pt", weights_only=True)
    assert (first["step"], second["step"]) == (2, 3)
    assert "done: 3 steps" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "a").iterdir()} >= {"config.json", "labelmap.txt"}
    changed = [
        name for name, value in first["controlnet"].items() if not torch.equal(value, second["controlnet"][name])
    ]
    assert changed
