from pathlib import Path

from dsfactory.jobs.describe import reference_page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run: python scripts/configuration_page.py"
