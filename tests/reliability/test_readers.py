"""Who reads a run while another process writes it sees finished shards, and nothing else."""

import signal
import time

import pytest

from dsfactory.jobs.export import export_job
from dsfactory.jobs.status import status_of
from dsfactory.report.job import report_job
from dsfactory.runner.progress import Silent
from dsfactory.verify import verify_path
from tests.command import run_tiny, tree

SAMPLES = 20


def look(run, out):
    """One look of each reader; samples with masks that each of them saw, the order of the looks being theirs."""
    status = {stage["stage"]: stage for stage in status_of(run)["stages"]}
    assert [stage["damaged"] for stage in status.values()] == [[]] * len(status)
    refined = status["refine"]["samples"]
    assert refined % 2 == 0, "shards have two samples"
    assert refined <= status["generate"]["samples"] <= status["prompts"]["samples"] <= SAMPLES
    exported = export_job(run, "coco", out / "coco", 0.5)[0]
    page = report_job(run, out / "page.html", 100, Silent())
    assert page.damaged == []
    return refined, sum(exported.images.values()), page.samples


@pytest.mark.long
def test_readers_of_a_run_that_is_written_see_finished_shards_only(tiny_model, tmp_path):
    writer = run_tiny(tiny_model, "run", "--out", "a", "--num", str(SAMPLES // 2), "--shard-size", "2", "--set",
                      "refine.min_box=0", cwd=tmp_path, wait=False)  # fmt: skip
    run, looks = tmp_path / "a", []
    for shards in (1, 3):  # the writer stands still for two looks, so that a slow machine has them too
        while writer.poll() is None and len(list((run / "refine").glob("*.parquet"))) < shards:
            time.sleep(0.005)
        writer.send_signal(signal.SIGSTOP)
        try:
            looks.append(look(run, tmp_path / f"look{len(looks)}"))
        finally:
            writer.send_signal(signal.SIGCONT)
    while writer.poll() is None:
        looks.append(look(run, tmp_path / f"look{len(looks)}"))
    errors = writer.communicate()[1]
    assert writer.returncode == 0, errors
    partial = [seen for seen in looks if seen[0] < SAMPLES]
    assert len(partial) >= 2, "the run was over before it was looked at"
    assert [seen[0] for seen in looks] == sorted(seen[0] for seen in looks)

    export_job(run, "coco", tmp_path / "final", 0.5)
    final = tree(tmp_path / "final" / "images")
    for number, (_, images, shown) in enumerate(looks):
        seen = tree(tmp_path / f"look{number}" / "coco" / "images")
        assert len(seen) == images <= SAMPLES and shown <= SAMPLES
        assert seen.items() <= final.items(), "an image that the finished run does not have"
        assert verify_path(tmp_path / f"look{number}" / "coco", Silent()).faults == []
        page = (tmp_path / f"look{number}" / "page.html").read_text()
        assert page.rstrip().endswith("</html>")
