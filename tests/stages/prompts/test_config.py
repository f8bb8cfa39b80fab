"""Settings."""

import pytest
from pydantic import ValidationError

from dsfactory.stages.prompts.config import PromptsConfig


@pytest.mark.parametrize(("value", "expected"), [("1", (1, 1)), (2, (2, 2)), ("1-3", (1, 3)), (" 2-2 ", (2, 2))])
def test_objects(value: object, expected: tuple[int, int]) -> None:
    assert PromptsConfig.model_validate({"objects": value}).object_range == expected


@pytest.mark.parametrize("value", ["0", "3-1", "1-", "-2", "one", "1-2-3", "", "²", None, "1.5"])
def test_bad_objects(value: object) -> None:
    with pytest.raises(ValidationError, match="objects"):
        PromptsConfig.model_validate({"objects": value})
