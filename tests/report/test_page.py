"""The page as a parser sees it: complete, self-contained, and nothing from outside gets in as markup."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsfactory.core.png import encode_index_png
from dsfactory.core.run import Run
from dsfactory.dataset.corrections import changing_corrections, digest
from dsfactory.dataset.decisions import Decision, Decisions
from dsfactory.errors import UserError
from dsfactory.jobs.decisions import decisions_job
from dsfactory.report.job import report_job
from dsfactory.report.pictures import TONES
from dsfactory.report.sample import parse_sample
from dsfactory.runner.progress import Silent
from tests.report.dom import Dom, source_hash
from tests.report.made_run import HOSTILE, made_run


def report(run: Path, out: Path, max_samples: int = 600) -> Dom:
    report_job(run, out, max_samples, Silent())
    return Dom(out)


def test_it_shows_every_sample_of_the_run_with_its_layers(whole_run, page):
    run, data = Run.open(whole_run), Dom(page).data
    rows = [row for spec in run.shards() for row in run.reader("filter", spec).rows]
    assert [sample["key"] for sample in data["samples"]] == [row["key"] for row in rows]
    assert [item["name"] for item in data["classes"]] == ["dog", "bird"]
    for sample, row in zip(data["samples"], rows, strict=True):
        assert [data["classes"][index]["name"] for index in sample["classes"]] == row["classes"]
        assert sample["prompt"] == row["prompt"]
        assert sample["state"] == {"ok": "kept"}.get(row["status"], row["status"])
        assert sample["why"] == row["reason"]
        assert sample["seed"] == str(row["image_seed"])
        if row["status"] == "failed":
            assert sample["layers"] is None and sample["scores"] == {}
            continue
        assert sample["scores"]["agreement"] == pytest.approx(min(row["agreement"]), abs=1e-4)
        assert sample["scores"]["quality"] == pytest.approx(0.8)
        assert sample["layers"].keys() == {"image", "attention", "mask", "edge", "void"}
    layers = data["samples"][0]["layers"]
    for name, corner in (("mask", 0), ("edge", 0), ("void", 0), ("image", None)):
        with Image.open(io.BytesIO(base64.b64decode(layers[name]))) as picture:
            assert picture.format == "WEBP"
            assert corner is None or picture.convert("RGBA").getpixel((0, 0))[3] == corner


def test_nothing_is_fetched_and_only_our_own_script_may_run(page):
    dom = Dom(page)
    policy = dom.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    style, (_, script) = "".join(dom.texts["style"]), dom.texts["script"]
    assert rules["style-src"] == source_hash(style)
    assert rules["script-src"] == source_hash(script)
    assert not any("style" in attributes for _, attributes in dom.elements)
    assert not any(name.startswith("on") for _, attributes in dom.elements for name in attributes)
    targets = [attributes[name] for _, attributes in dom.elements for name in ("src", "href") if name in attributes]
    assert all(target.startswith(("#", "data:")) for target in targets), targets
    assert "url(" not in style + script and "http" not in style + script


def test_text_from_outside_is_text(page):
    dom, text = Dom(page), page.read_text(encoding="utf-8")
    prompts = " ".join(sample["prompt"] for sample in dom.data["samples"])
    assert all(hostile in prompts for hostile in HOSTILE)
    reasons = {found["data-reason"] for found in dom.all("button", type="button") if "data-reason" in found}
    assert reasons == {HOSTILE[0], HOSTILE[1], HOSTILE[3]}
    assert len(dom.all("script")) == 2 and text.count("<script") == 2
    assert not dom.all("img") and "<img" not in text
    assert "<!-- <" not in text and "49" not in dom.data["samples"][2]["prompt"]


def test_plots_tables_and_the_recipe_are_there(page):
    dom = Dom(page)
    titles = [found["aria-label"].split(".")[0] for found in dom.all("svg", role="img")]
    assert titles == ["Images per class", "Keep share", "Threshold chosen", "Agreement", "Mask area", "Prompt sources"]
    commands = next(text for text in dom.texts["code"] if text.startswith("dsfactory")).splitlines()
    assert commands[0] == "dsfactory generate --classes dog,bird --num 6 --shard-size 4 --out runs/again"
    assert commands[1:] == ["dsfactory refine runs/again", "dsfactory filter runs/again"]
    assert "shard_size: 4" in " ".join(dom.texts["code"])
    assert "12 images of 2 classes, 6 of them labelled." in dom.text
    assert "Drawn by pocket: stickers" in dom.text


def test_versions_come_from_the_log_of_the_commands_that_made_the_run(whole_run, tmp_path):
    run = Path(shutil.copytree(whole_run, tmp_path / "run"))
    lines = [
        json.dumps({"event": "start", "command": "run", "versions": {"torch": "9.9.9"}}),
        json.dumps({"event": "start", "command": "export", "versions": {"torch": "1.2.3"}}),
        '{"event": "start", "command": "run", "versions": ["torn',
        "[1]",
    ]
    (run / "log.jsonl").write_text("\n".join(lines), encoding="utf-8")
    text = report(run, tmp_path / "page.html").text
    assert "9.9.9" in text and "1.2.3" not in text


def test_equal_runs_give_equal_pages(whole_run, page, tmp_path):
    again = made_run(tmp_path / "again", filter=3)
    report_job(again, tmp_path / "again.html", 600, Silent())
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_a_page_that_shows_some_says_so(whole_run, tmp_path):
    dom = report(whole_run, tmp_path / "page.html", 6)
    shown = dom.data["samples"]
    assert len(shown) == 6
    assert "6 of 12 samples: the 2 with the lowest agreement, 1 of the 6 left out and 3 at random." in dom.text
    assert "Over all 12 samples" in dom.text
    assert {"00000011", "00000007"} <= {sample["key"] for sample in shown}  # 8 failed, 9 failed, 10 was dropped


def test_prompts_alone_and_images_alone_are_shown(tmp_path):
    planned = report(made_run(tmp_path / "a", generate=0), tmp_path / "a.html")
    assert {sample["state"] for sample in planned.data["samples"]} == {"planned"}
    assert "12 prompts, nothing drawn yet." in planned.text
    assert planned.data["scores"] == []
    drawn = report(made_run(tmp_path / "b", refine=0), tmp_path / "b.html")
    assert {sample["state"] for sample in drawn.data["samples"]} == {"drawn", "failed"}
    assert drawn.data["samples"][0]["layers"].keys() == {"image", "attention"}
    assert "12 images of 2 classes, not labelled yet." in drawn.text
    assert "dsfactory generate --classes dog,bird" in drawn.text


def test_of_a_run_that_is_being_made_only_finished_shards_are_shown(tmp_path):
    run = made_run(tmp_path / "run", generate=2, refine=1)
    (run / "refine" / ".00001.parquet.0123456789ab.tmp").write_bytes(b"half a table")
    dom = report(run, tmp_path / "page.html")
    states = [sample["state"] for sample in dom.data["samples"]]
    assert states == ["kept", "kept", "rejected", "failed", *["drawn"] * 4, *["planned"] * 4]
    assert "generate: 8 of 12 samples are finished." in dom.text
    assert "refine: 4 of 12 samples are finished." in dom.text


def test_what_is_out_of_date_is_left_out_and_said(tmp_path):
    run = made_run(tmp_path / "run", filter=3)
    state = json.loads((run / "refine" / "stage.json").read_text())
    (run / "refine" / "stage.json").write_text(json.dumps({**state, "upstream": "other images"}))
    dom = report(run, tmp_path / "page.html")
    assert {sample["state"] for sample in dom.data["samples"]} == {"drawn", "failed"}
    assert "What refine and filter made is left out" in dom.text


def test_what_was_measured_is_shown(whole_run, tmp_path):
    run = Path(shutil.copytree(whole_run, tmp_path / "run"))
    (run / "evaluate").mkdir()
    results = {"miou_synthetic": 0.41, "miou_real": 0.5, "miou_both": 0.55, "ratio": 0.82, "val_images": 40,
               "synthetic_images": 6, "real_images": 30, "steps": 500, "repeats": 3,
               "spread": {"synthetic": 0.01, "real": 0.02, "both": 0.03},
               "per_class": {"dog": {"synthetic": 0.3, "real": 0.4, "both": 0.45},
                             "<b>bird</b>": {"synthetic": None, "real": None, "both": None}}}  # fmt: skip
    (run / "evaluate" / "results.json").write_text(json.dumps(results))
    ablation = {"columns": ["Step", "mIoU"], "rows": [["threshold 0.5", 0.3], ["+ CRF", None]], "caption": "40 images."}
    (run / "evaluate" / "ablation.json").write_text(json.dumps(ablation))
    dom = report(run, tmp_path / "page.html")
    assert "reaches 0.410 mIoU on real images, 82% of what it reaches when trained on real labels (0.500)" in dom.text
    cells = " | ".join(dom.texts["td"] + dom.texts["th"])
    for cell in ("0.410 ± 0.010", "0.300 | 0.400 | 0.450", "<b>bird</b>", "threshold 0.5", "+ CRF"):
        assert cell in cells
    assert not dom.all("b")


@pytest.mark.long
@pytest.mark.parametrize("content", ["{", "[]", '{"miou_real": NaN}', '{"miou_real": "0.5"}', "null"])
def test_a_results_file_of_something_else_is_said_and_nothing_more(whole_run, tmp_path, content):
    run = Path(shutil.copytree(whole_run, tmp_path / "run"))
    (run / "evaluate").mkdir()
    (run / "evaluate" / "results.json").write_text(content)
    dom = report(run, tmp_path / "page.html")
    assert "evaluate/results.json: not what dsfactory evaluate writes." in dom.text
    assert len(dom.data["samples"]) == 12


def test_a_mask_that_was_corrected_by_hand_is_shown(whole_run, tmp_path):
    run = Path(shutil.copytree(whole_run, tmp_path / "run"))
    before = report(run, tmp_path / "before.html").data["samples"]
    image = next(Run.open(run).reader("generate", Run.open(run).shards()[0]).records()).files["image.png"]
    mask = np.full((32, 32), 2, dtype=np.uint8)
    entry = {"image_sha256": digest(image), "replaces_sha256": "", "source": "mine.png", "format": "png"}
    with changing_corrections(run) as writer:
        writer.add("00000000", entry, (encode_index_png(mask), encode_index_png(np.ones_like(mask))))
        writer.add("00000001", entry, None)  # of an image that was made again since: it counts for nothing
    dom = report(run, tmp_path / "after.html")
    after = dom.data["samples"]
    assert [sample["byHand"] for sample in after] == ["corrected by hand", *[""] * 11]
    assert (after[0]["labels"], before[0]["labels"]) == ([1], [0])
    assert "void" not in after[0]["layers"] and after[0]["layers"]["mask"] != before[0]["layers"]["mask"]
    assert after[1]["layers"] == before[1]["layers"]
    assert "By hand: 1 all labels taken away, 1 corrected. The gallery shows it" in dom.text


def test_rows_of_someone_else_are_damage(tmp_path):
    run = made_run(tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text())
    manifest["classes"][1]["name"] = "horse"
    (run / "run.json").write_text(json.dumps(manifest))
    summary = report_job(run, tmp_path / "page.html", 600, Silent())
    assert summary.samples == 0 and len(summary.damaged) == 9 and summary.exit_code == 3  # three shards of three stages
    assert "which the run does not have" in summary.damaged[0]


def test_a_run_without_a_finished_shard_has_nothing_to_show(tmp_path):
    with pytest.raises(UserError, match="has nothing to show yet"):
        report_job(made_run(tmp_path / "run", prompts=0), None, 600, Silent())


def test_a_class_that_is_not_in_the_mask_has_no_say():
    row = {"key": "00000000", "number": 0, "classes": ["dog", "cat"], "area": [0.3, 0.0], "agreement": [0.9, 0.0],
           "threshold": [0.5, 0.1], "components": [1, 0], "status": "ok"}  # fmt: skip
    found = parse_sample(row, frozenset({"dog", "cat"}), "refine/00000.parquet", "kept", ())
    assert (found.score, found.labelled) == (0.9, ("dog",))
    assert parse_sample({**row, "status": "rejected"}, frozenset({"dog", "cat"}), "", "kept", ()).labelled == ()
    assert parse_sample({**row, "area": None}, frozenset({"dog", "cat"}), "", "drawn", ()).labelled == ("dog", "cat")


def test_the_scores_are_explained_and_outlines_have_two_tones(page):
    dom = Dom(page)
    assert {"claim", "peak", "agreement", "rank", "iou"} <= dom.data["meanings"].keys()
    assert all(text in dom.text for text in dom.data["meanings"].values())
    with Image.open(io.BytesIO(base64.b64decode(dom.data["samples"][0]["layers"]["edge"]))) as picture:
        tones = {colour[:3] for _, colour in picture.convert("RGBA").getcolors(2**16) if colour[3]}
    assert tones == set(TONES)


def test_what_a_person_decided_on_the_page_is_shown(whole_run, tmp_path):
    run = Path(shutil.copytree(whole_run, tmp_path / "run"))
    images = {one["key"]: one["image"] for one in report(run, tmp_path / "before.html").data["samples"]}
    choices = {"00000000": "reject", "00000004": "keep"}  # one that was kept, and one that filter dropped
    samples = {key: Decision(decision=choice, image_sha256=images[key]) for key, choice in choices.items()}
    assert decisions_job(run, Decisions("decisions.json", samples)).decided == {"keep": 1, "reject": 1}
    dom = report(run, tmp_path / "after.html")
    rejected, kept = dom.data["samples"][0], dom.data["samples"][4]
    assert (rejected["state"], rejected["why"], rejected["labels"]) == ("rejected", "rejected by hand", [])
    assert (kept["state"], kept["why"], kept["labels"]) == ("kept", "", [0])
    assert "mask" in rejected["layers"]
    assert "By hand: 1 kept, 1 rejected." in dom.text
