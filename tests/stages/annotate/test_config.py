import pytest

from dsfactory.stages.annotate.config import AnnotateConfig


@pytest.mark.parametrize(
    ("older", "means"), [({"min_gain": 0.001}, 0.6), ({"min_gain": None}, None), ({"min_presence": 0.5}, 0.5)]
)
def test_the_settings_of_runs_of_before_are_read(older: dict[str, float | None], means: float | None) -> None:
    assert AnnotateConfig.model_validate(older).min_presence == means
    assert "min_gain" not in AnnotateConfig.model_validate(older).identity()
