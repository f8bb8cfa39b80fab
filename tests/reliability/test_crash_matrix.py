"""The crash matrix in its short form, and that it would see what it looks for."""

import json

from scripts.crash_matrix import Watched, contents, crash_matrix, differences


def test_twelve_kills_lose_nothing(tiny_model, tmp_path):
    report = crash_matrix(tmp_path / "work", str(tiny_model), kills=12, seed=5)
    assert report.differences == []
    assert report.samples_lost == 0
    assert report.total_kills >= 12
    assert set(report.kills) == {"prompts", "generate", "refine", "export"}
    ways = {way for by_way in report.kills.values() for way in by_way}
    assert ways == {"SIGKILL", "SIGTERM", "two at once"}
    assert report.left_temporary_files, "no kill met a shard that was being written"


def test_every_kind_of_difference_is_seen(tmp_path):
    for name in ("whole", "killed"):
        folder = tmp_path / name / "refine"
        folder.mkdir(parents=True)
        for file in ("00000.tar", "00000.parquet", ".lock"):
            (folder / file).write_bytes(b"same")
    whole = contents(tmp_path / "whole", hidden=True)
    killed = tmp_path / "killed" / "refine"
    (killed / ".lock").write_bytes(b"another process")
    assert differences(contents(tmp_path / "killed", hidden=True), whole, partial=False) == []
    (killed / "00000.tar").write_bytes(b"sane")
    (killed / ".00000.tar.0123456789ab.tmp").write_bytes(b"")
    (killed / "00000.parquet").unlink()
    assert differences(contents(tmp_path / "killed", hidden=True), whole, partial=False) == [
        "refine/.00000.tar.0123456789ab.tmp should not be there",
        "refine/00000.parquet is missing",
        "refine/00000.tar has other bytes",
    ]
    assert differences(contents(tmp_path / "killed", hidden=False), whole, partial=True) == [
        "refine/00000.tar has other bytes"
    ]
    assert Watched(tmp_path / "killed").temporary() == ["refine/.00000.tar.0123456789ab.tmp"]


def test_a_shard_made_again_is_seen(tmp_path):
    mark = tmp_path / "prompts" / "00000.parquet"
    mark.parent.mkdir()
    mark.write_bytes(b"same")
    watched = Watched(tmp_path)
    before = watched.finished()
    assert watched.finished() == before
    again = mark.with_name("again")
    again.write_bytes(b"same")
    again.replace(mark)
    assert watched.finished() != before


def test_whose_lock_it_is(tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "stage.json").write_text("{}")
    watched = Watched(tmp_path)
    assert not watched.begun_by("prompts", [7])
    (tmp_path / ".lock").write_text(json.dumps({"pid": 7}))
    assert watched.begun_by("prompts", [7])
    assert not watched.begun_by("prompts", [8])
    assert not watched.begun_by("export", [7])
