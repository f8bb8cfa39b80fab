import pytest

from dsfactory.core.section import parse_section
from dsfactory.errors import UserError
from dsfactory.stages.generate.config import GenerateConfig


def test_every_field_has_a_sentence():
    assert all(field.description and field.description.endswith(".") for field in GenerateConfig.model_fields.values())


def test_what_does_not_change_the_image_is_no_part_of_the_identity():
    identity = GenerateConfig(batch_size=3, device="cuda:1", xformers=True, compile=True).identity()
    assert identity == GenerateConfig().identity()
    assert not {"batch_size", "device", "xformers", "compile"} & identity.keys()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"width": 100}, "width"),
        ({"height": 32}, "height"),
        ({"steps": 0}, "steps"),
        ({"guidance": -1}, "guidance"),
        ({"dtype": "float8"}, "dtype"),
        ({"scheduler": "dpm"}, "scheduler"),
        ({"batch_size": 0}, "batch_size"),
        ({"step": 3}, "did you mean 'steps'"),
    ],
)
def test_bad_values_are_named(values, says):
    with pytest.raises(UserError, match=says):
        parse_section(GenerateConfig, values, "generate")
