import pytest

from dsfactory.core.section import parse_section
from dsfactory.errors import UserError
from dsfactory.stages.refine.config import RefineConfig


@pytest.mark.parametrize("value", ["auto", 0.4])
def test_threshold_is_a_word_or_a_number(value):
    assert parse_section(RefineConfig, {"threshold": value}, "run.yaml").threshold == value


@pytest.mark.parametrize("values", [{"threshold": 1.2}, {"threshold": "otsu"}, {"crf_iterations": -1}, {"min_box": -3}])
def test_values_out_of_range_are_named(values):
    with pytest.raises(UserError, match=next(iter(values))):
        parse_section(RefineConfig, values, "run.yaml")


def test_swapped_range_is_named():
    with pytest.raises(UserError, match=r"threshold_low 0\.6 is above threshold_high 0\.54"):
        parse_section(RefineConfig, {"threshold_low": 0.6}, "run.yaml")


def test_every_setting_has_a_sentence():
    for name, field in RefineConfig.model_fields.items():
        assert field.description and field.description.endswith("."), name
