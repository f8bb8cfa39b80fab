"""Witnesses that the filter hears beside its networks."""

import numpy as np
import pytest

from dsfactory.core.sample import VOID
from dsfactory.dataset.witness import Said, agreements, of_classes
from dsfactory.errors import UserError
from dsfactory.stages.filter.config import FilterConfig
from dsfactory.stages.filter.rules import decide
from tests.command import called
from tests.segment.tiny_sams import SAMS
from tests.stages.filter.scenes import QUICK, draw_scene, make_run
from tests.stages.filter.scores import score
from tests.stages.filter.test_stage import rows_of, run_filter

IDS = (1, 2)


def labelled():
    labels, instances = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    labels[:4, :4], instances[:4, :4] = 1, 1
    labels[5:, 5:], instances[5:, 5:] = 1, 2
    labels[0, :4] = instances[0, :4] = VOID
    return labels, instances


def test_agreement_is_of_a_classs_objects_together_and_void_counts_for_nobody():
    labels, instances = labelled()
    found = np.where(labels == VOID, 1, labels)
    assert agreements(labels, instances, of_classes(labels, instances, found, 1.0), IDS) == [1.0, None]
    found[5:, 5:] = 2
    assert agreements(labels, instances, of_classes(labels, instances, found, 1.0), IDS) == [12 / 21, None]
    unsure = [Said(instances == number, 0.9 if number == 1 else 0.2) for number in (1, 2)]
    assert agreements(labels, instances, unsure, IDS) == [None, None]


def test_a_sample_goes_where_a_witness_agrees_much_less_than_it_usually_does():
    scores = [score(number, agree_flip=[0.8]) for number in range(9)]
    scores += [score(9, agree_flip=[0.4]), score(10, agree_flip=[None]), score(11)]
    verdicts = decide(scores, FilterConfig())
    assert [verdict.reason for verdict in verdicts] == [""] * 9 + ["witness", "", ""]
    assert verdicts[9].decided == "flip agrees 0.40 on dog, limit 0.48"


@pytest.mark.parametrize("names", [("flip", "flip"), ("one/model", "two/models")])
def test_only_one_of_each_kind(names):
    with pytest.raises(ValueError, match="give flip, one segmenter, or one of each"):
        FilterConfig(witness=names)


def test_witnesses_leave_the_fingerprint_of_runs_without_them_alone():
    assert not {"witness", "min_witness"} & FilterConfig().identity().keys()
    assert FilterConfig(witness="flip").identity()["witness"] == ["flip"]


def test_a_promptable_segmenter_is_heard_about_every_class(tmp_path):
    SAMS["sam"]().save_pretrained(tmp_path / "sam")
    path = make_run(tmp_path / "a", [draw_scene(number) for number in range(8)])
    run_filter(path, witness=[str(tmp_path / "sam")], min_witness=0.0, segment={"steps": 1})
    for row in rows_of(path):
        assert row["agree_flip"] == []
        assert len(row["agree_segmenter"]) == len(row["classes"])
    with pytest.raises(UserError, match="not the folder of a promptable segmenter"):
        run_filter(path, redo=True, witness=[str(tmp_path / "a")])


def test_flip_looks_at_the_mirror_image_with_the_runs_own_model(tiny_run, tiny_model, tmp_path):
    import shutil

    shutil.copytree(tiny_run, tmp_path / "a")
    settings = [f"filter.{name}={value}" for name, value in QUICK["filter"].items() if name != "segment"]
    settings += [f"filter.segment.{name}={value}" for name, value in QUICK["filter"]["segment"].items()]
    flags = [word for one in settings for word in ("--set", one)]
    done = called("filter", "a", "--witness", "flip", *flags, "--set", "filter.segment.steps=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    heard = [value for row in rows_of(tmp_path / "a") for value in row["agree_flip"] or [] if value is not None]
    assert heard and all(0 <= value <= 1 for value in heard)
