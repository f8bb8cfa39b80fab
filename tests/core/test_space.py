"""Sample spaces: their layout, and what a sample is called, numbered and drawn with."""

import shutil

import pytest

from dsfactory.core.run import MAX_SHARD, Run
from dsfactory.core.sample import sample_key
from dsfactory.core.seeds import derive_seed
from dsfactory.core.shard import ShardSpec
from dsfactory.core.space import Space, first_number, sample_seed, space_of
from dsfactory.errors import UserError
from dsfactory.stages.refine.stage import RefineStage
from dsfactory.stages.splice.stage import SpliceStage
from tests.brought import Echo, Squares
from tests.stages.splice.runs import labelled_run

FIRST = {Echo: first_number("echo"), SpliceStage: 1_000_000_000}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return labelled_run(tmp_path_factory.mktemp("runs") / "a", 1)


@pytest.fixture
def run(labelled, tmp_path):
    return Run.open(shutil.copytree(labelled, tmp_path / "a"))


@pytest.fixture(params=[Echo, SpliceStage])
def space(request, run):
    """One whose first number follows from the stage's name, and one whose first number was chosen."""
    return Space.of(run, request.param)


def folder(space):
    return space.stage_folder(space.kind.folder)


def test_targets_only_add_shards(space):
    for wanted, size in (({"mosaic": 5}, 4), ({"paste": 2}, 4), ({"mosaic": 3}, 4), ({"mosaic": 9, "paste": 0}, 2)):
        space.extend(wanted, size)
    assert space.layout.shards == (
        (0, 4, "mosaic"),
        (4, 5, "mosaic"),
        (0, 2, "paste"),
        (5, 7, "mosaic"),
        (7, 9, "mosaic"),
    )
    first = FIRST[space.kind]
    assert space.shards()[1:3] == [ShardSpec(1, first + 4, first + 5), ShardSpec(2, first + 5, first + 7)]
    assert space.total == 11
    assert space.reopened().layout == Space.of(Run.open(space.path), space.kind).layout == space.layout


def test_a_target_that_is_reached_writes_nothing(space):
    space.extend({"mosaic": 5}, 4)
    before = (folder(space) / "shards.json").stat().st_mtime_ns
    space.extend({"mosaic": 5}, 2)
    space.extend({}, 4)
    assert (folder(space) / "shards.json").stat().st_mtime_ns == before


def test_a_plan_counts_as_extending_does(space):
    space.extend({"mosaic": 5}, 4)
    for wanted in ({"mosaic": 3}, {"mosaic": 9, "paste": 2}, {"paste": 4}, {}):
        anew, before = space.planned(wanted, redo=True), space.planned(wanted, redo=False)
        assert anew == sum(wanted.values())
        space.extend(wanted, 4)
        assert space.total == before


def test_samples_are_named_numbered_and_seeded_by_their_place(space):
    space.extend({"mosaic": 3, "paste": 2}, 2)
    samples = [sample for spec in space.shards() for sample in space.samples(spec)]
    places = [("mosaic", 0), ("mosaic", 1), ("mosaic", 2), ("paste", 0), ("paste", 1)]
    assert [(sample.cell, sample.index) for sample in samples] == places
    first, name = FIRST[space.kind], space.kind.name
    assert [sample.number for sample in samples] == [first + place for place in range(5)]
    assert [sample.seed for sample in samples] == [derive_seed(7, name, cell, index) for cell, index in places]
    keys = ["echo-00000000", "echo-00000001", "echo-00000002", "echo-00000003", "echo-00000004"]
    chosen = [sample_key(first + place) for place in range(5)]
    assert [sample.key for sample in samples] == (keys if space.kind is Echo else chosen)


def test_a_sample_has_the_seed_of_what_it_is_and_not_of_its_shard(space, tmp_path):
    other = Space.of(Run.open(shutil.copytree(space.path, tmp_path / "b")), space.kind)
    space.extend({"mosaic": 5, "paste": 2}, 2)
    other.extend({"paste": 1, "mosaic": 1}, 4)
    other.extend({"paste": 2, "mosaic": 5}, 4)

    def seeds(one):
        return {(sample.cell, sample.index): sample.seed for spec in one.shards() for sample in one.samples(spec)}

    assert seeds(space) == seeds(other)


def test_another_attempt_is_another_seed():
    seeds = [sample_seed(7, space, "dog", 3, attempt) for space in ("", "echo") for attempt in (0, 1, 2)]
    assert len(set(seeds)) == 6
    assert seeds[0] == derive_seed(7, "dog", 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_spaces_keep_their_numbers_apart():
    names = [f"stage-{number}" for number in range(200)]
    firsts = [first_number(name) for name in names]
    assert len(set(firsts)) == 200
    assert all(first % 1_000_000_000 == 0 and first >= 2_000_000_000 for first in firsts)
    # Numbers that exist must not move between versions.
    assert first_number("echo") == 38_974 * 1_000_000_000


def test_only_composers_have_a_space_of_their_own(run):
    assert space_of(run, RefineStage) is run and space_of(run, Squares) is run
    assert isinstance(space_of(run, Echo), Space)


def test_discarding_leaves_the_run_alone(space):
    space.extend({"mosaic": 5}, 4)
    (folder(space) / "00000.tar").touch()
    (folder(space) / "notes.txt").touch()
    space.discard(space.kind)
    assert [path.name for path in folder(space).iterdir()] == ["notes.txt"]
    assert space.total == 0
    assert Run.open(space.path).total == 2


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"shards": [[0, 4, "mosaic"], [5, 6, "mosaic"]]}',
        '{"shards": [[0, 0, "mosaic"]]}',
        '{"shards": [[1, 4, "paste"]]}',
        '{"shards": [[0, 4, "../x"]]}',
        '{"shards": [[0, 4, "X"]]}',
        '{"shards": [[0, 4, ""]]}',
        f'{{"shards": [[0, {MAX_SHARD + 1}, "mosaic"]]}}',
        '{"shards": [[0, 4]]}',
    ],
)
def test_broken_layout_is_named(space, text):
    space.extend({"mosaic": 5}, 4)
    (folder(space) / "shards.json").write_text(text)
    with pytest.raises(UserError, match=rf"{space.kind.folder}/shards\.json"):
        Space.of(Run.open(space.path), space.kind)


def test_link_in_the_place_of_the_folder_is_refused(space, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder(space).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        space.extend({"mosaic": 5}, 4)
    assert not list((tmp_path / "elsewhere").iterdir())
