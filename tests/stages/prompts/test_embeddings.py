"""Captions are embedded in proportion to what is asked for, kept between runs, and their progress is said."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dsfactory.core.classes import ClassSpec
from dsfactory.core.run import StageState
from dsfactory.stages.prompts import embeddings
from dsfactory.stages.prompts.config import PromptsConfig
from dsfactory.stages.prompts.stage import PromptsStage
from tests.stages.prompts.test_stage import NEVER, Letters, embed, rows


class Counted(Letters):
    """Counts the texts that it embeds."""

    def __init__(self) -> None:
        object.__setattr__(self, "texts", [])
        object.__setattr__(self, "embed", self._embed)

    def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        self.texts.extend(texts)  # type: ignore[attr-defined]
        return embed(texts)


def staged(path: Path, images: int | None, encoder: Letters, corpus: str = "coco", **settings: Any) -> PromptsStage:
    specs = [ClassSpec(name="dog"), ClassSpec(name="bird")]
    (path / "prompts").mkdir(parents=True, exist_ok=True)
    counts = {} if images is None else {"dog": images, "bird": images}
    return PromptsStage(PromptsConfig(corpus=corpus, **settings), specs, 7, encoder, path, counts)


@pytest.mark.long
def test_a_small_run_embeds_a_batch_per_class_and_a_larger_one_begins_with_its_prompts(tmp_path: Path) -> None:
    def grown(folder: str, *sizes: int) -> tuple[list[dict[str, Any]], int]:
        (tmp_path / folder).mkdir()
        for images in sizes:
            encoder = Counted()
            stage = staged(tmp_path / folder, images, encoder)
            stage.load()
        return rows(stage, 0, 2 * sizes[-1]), len(encoder.texts)  # type: ignore[attr-defined]

    (few, asked), (more, again), (direct, _) = grown("a", 2), grown("b", 2, 40), grown("c", 40)
    assert asked == 2 * (64 + 1)
    assert again == 2 * (192 + 1)
    assert more[:4] == few
    assert more == direct
    assert (tmp_path / "b" / "prompts" / "pool.json").read_bytes() == (
        tmp_path / "c" / "prompts" / "pool.json"
    ).read_bytes()
    assert len({row["prompt"] for row in more}) == 80
    stage = staged(tmp_path / "a", 2, Counted())  # a shard beyond what the settings ask for now
    stage.load()
    assert rows(stage, 60, 80) == direct[60:]


def test_a_run_that_was_begun_with_a_fixed_pool_keeps_it(tmp_path: Path, few: str) -> None:
    before = staged(tmp_path, 2, NEVER, few, pool=20).identity()
    assert before["pool"] == 20
    state = StageState(stage="prompts", version=2, fingerprint="f" * 32, upstream="", identity=before)
    assert staged(tmp_path, 2, NEVER, few).settled(state, None).identity() == before  # type: ignore[arg-type]


def test_batches_that_took_long_are_kept_within_bounds_and_damaged_ones_made_again(
    tmp_path: Path, few: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "SHOWN_S", 0.0)
    monkeypatch.setattr(embeddings, "KEPT_S", 0.0)
    monkeypatch.setattr(embeddings, "cache_folder", lambda: tmp_path / "cache")
    said = []

    def report(name: str, done: int, total: int) -> None:
        said.append((name, done, total))

    first = staged(tmp_path, 2, LETTERS := Counted(), few)
    first._rank(2, report)
    expected, asked = rows(first, 0, 4), len(LETTERS.texts)  # type: ignore[attr-defined]
    assert said[0] == ("captions", 0, asked) and said[-1] == ("captions", asked, asked)
    assert len(said) == 5
    kept = sorted((tmp_path / "cache").iterdir())
    assert len(kept) == 4
    (tmp_path / "prompts" / "pool.json").unlink()
    second = staged(tmp_path, 2, NEVER, few)  # no encoder is needed
    second.load()
    assert rows(second, 0, 4) == expected
    kept[0].write_bytes(b"no numbers")
    (tmp_path / "prompts" / "pool.json").unlink()
    monkeypatch.setattr(embeddings, "MOST_FILES", 3)
    third = staged(tmp_path, 2, Counted(), few)
    third.load()
    assert rows(third, 0, 4) == expected
    assert len(list((tmp_path / "cache").iterdir())) == 3
    monkeypatch.setattr(embeddings, "cache_folder", lambda: Path("/proc/none"))  # cannot be written
    (tmp_path / "prompts" / "pool.json").unlink()
    staged(tmp_path, 2, Counted(), few).load()


def test_quick_encoders_write_no_cache(tmp_path: Path, few: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "cache_folder", lambda: tmp_path / "cache")
    staged(tmp_path, 2, Counted(), few).load()
    assert not (tmp_path / "cache").exists()
