"""Write ``docs/configuration.md`` from the fields of the configuration."""

from pathlib import Path

from dsfactory.jobs.describe import reference_page

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

if __name__ == "__main__":
    PAGE.write_text(reference_page(), encoding="utf-8")
    print(f"wrote {PAGE}")
