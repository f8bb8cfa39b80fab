import pytest

from dsfactory.core.section import parse_section
from dsfactory.errors import UserError
from dsfactory.stages.splice.config import SpliceConfig, grid_of


def test_mix_is_written_as_text_or_mapping():
    for mix in ("2x2=3, 3x3=1", {"2x2": 3, "3x3": 1}):
        assert SpliceConfig(mix=mix).mix == {"2x2": 3.0, "3x3": 1.0}
    assert SpliceConfig(mix="1x2,2x1").mix == {"1x2": 1.0, "2x1": 1.0}


def test_default_mix_has_the_proportions_of_the_paper():
    mix = SpliceConfig().mix
    assert mix["1x2"] + mix["2x1"] == mix["2x2"] == mix["5x5"] == 0.75 * mix["3x3"] == 3 * mix["8x8"]
    assert set(mix) == {"1x2", "2x1", "2x2", "3x3", "5x5", "8x8"}


def test_grid_is_rows_by_columns():
    assert grid_of("3x2") == (3, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mix": "2x2=3,9x9=1"}, "'9x9' is no grid"),
        ({"mix": "1x1"}, "'1x1' is no grid"),
        ({"mix": "2x2=0"}, "no grid with a weight above 0"),
        ({"mix": "2x2,2x2"}, "named twice"),
        ({"mix": "2x2=-1"}, "greater than or equal to 0"),
        ({"mix": "2x2=nan"}, "mix: input should be a finite number"),
        ({"mix": "2x2=many"}, "mix: input should be a number"),
        ({"mix": ""}, "is no grid"),
        ({"size": 8}, "greater than or equal to 64"),
        ({"size": 10**6}, "less than or equal to 4096"),
        ({"num": -1}, "num"),
        ({"blur": 1.5}, "blur"),
        ({"scale_low": 2.0, "scale_high": 1.0}, "swap them"),
    ],
)
def test_mistakes_are_named_in_one_line(values, said):
    with pytest.raises(UserError, match=said) as error:
        parse_section(SpliceConfig, values, "settings")
    assert "\n" not in str(error.value)


def test_targets_are_not_part_of_the_identity():
    assert SpliceConfig(num=5, paste=9).identity() == SpliceConfig().identity()
    assert SpliceConfig(size=128).identity() != SpliceConfig().identity()
