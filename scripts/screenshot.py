"""Photograph a report page in headless Chromium: ``python scripts/screenshot.py runs/demo/report.html``.

Needs ``pip install playwright`` (in the ``dev`` extra) and a Chromium or Chrome: the system's, or the one that
``playwright install chromium`` fetches.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",  # the pages are our own, and containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class NoBrowser(Exception):
    """Why no browser can be started here."""


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium.

    Raises:
        NoBrowser: playwright is not installed, or no browser is.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowser("playwright is not installed: pip install playwright") from error
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = str(own) if own.exists() else next((path for name in BROWSERS if (path := shutil.which(name))), None)
        if found is None:
            raise NoBrowser("no Chromium is installed: apt install chromium, or playwright install chromium")
        started = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        try:
            yield started
        finally:
            started.close()


def photograph(page_file: Path, out: Path, width: int, height: int, dark: bool, whole: bool) -> None:
    """Open a page and save what the window shows, or all of it, as a PNG."""
    with browser() as started:
        context = started.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",  # nothing moves, so that equal pages give equal pictures
        )
        page = context.new_page()
        page.goto(page_file.resolve().as_uri())
        page.wait_for_function("[...document.images].every(image => image.complete)")
        page.screenshot(path=out, full_page=whole)


def main() -> int:
    parser = argparse.ArgumentParser(description="Photograph a report page in headless Chromium.")
    parser.add_argument("page", type=Path, help="the HTML file that dsfactory report wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/report.png"), help="the PNG (default docs/report.png)")
    parser.add_argument("--width", type=int, default=1280, help="of the window in pixels (default 1280)")
    parser.add_argument("--height", type=int, default=1100, help="of the window in pixels (default 1100)")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    parser.add_argument("--whole", action="store_true", help="the whole page instead of the window")
    arguments = parser.parse_args()
    if not arguments.page.is_file():
        parser.error(f"{arguments.page} is not there: make it with 'dsfactory report'")
    try:
        photograph(arguments.page, arguments.out, arguments.width, arguments.height, arguments.dark, arguments.whole)
    except NoBrowser as error:
        parser.error(str(error))
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
