import pytest

from dsfactory.core.run import Run
from dsfactory.core.shard import ShardSpec
from dsfactory.core.space import FIRST, SpliceSpace
from dsfactory.errors import UserError
from tests.stages.splice.runs import labelled_run


@pytest.fixture
def space(tmp_path):
    return SpliceSpace.of(Run.open(labelled_run(tmp_path / "a", 1)))


def test_targets_only_add_shards(space):
    space.extend("mosaic", 5, 4)
    space.extend("paste", 2, 4)
    space.extend("mosaic", 3, 4)
    space.extend("mosaic", 9, 2)
    assert space.layout.shards == (
        (0, 4, "mosaic"),
        (4, 5, "mosaic"),
        (0, 2, "paste"),
        (5, 7, "mosaic"),
        (7, 9, "mosaic"),
    )
    assert space.shards()[1:3] == [ShardSpec(1, FIRST + 4, FIRST + 5), ShardSpec(2, FIRST + 5, FIRST + 7)]
    assert space.total == 11
    again = SpliceSpace.of(Run.open(space.path))
    assert again.layout == space.layout


def test_discarding_leaves_the_run_alone(space):
    space.extend("mosaic", 5, 4)
    space.discard()
    assert not list((space.path / "splice").iterdir())
    assert Run.open(space.path).total == 2


@pytest.mark.parametrize(
    "text", ["{", '{"shards": [[0, 4, "mosaic"], [5, 6, "mosaic"]]}', '{"shards": [[0, 4, "x"]]}', "[]"]
)
def test_broken_layout_is_named(space, text):
    space.extend("mosaic", 5, 4)
    (space.path / "splice/shards.json").write_text(text)
    with pytest.raises(UserError, match=r"splice/shards\.json"):
        SpliceSpace.of(Run.open(space.path))


def test_link_in_the_place_of_the_folder_is_refused(space, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (space.path / "splice").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        space.extend("mosaic", 5, 4)
    assert not list((tmp_path / "elsewhere").iterdir())
