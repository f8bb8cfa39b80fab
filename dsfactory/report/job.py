"""``dsfactory report``: write the page of a run to a file."""

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.report.page import MARK, build_page
from dsfactory.report.source import open_source
from dsfactory.runner.progress import Progress
from dsfactory.storage.atomic import is_leftover, make_folder, write_atomic
from dsfactory.storage.disk import disk_errors

NAME = "report.html"


@dataclass(frozen=True)
class ReportSummary:
    """What was written.

    Attributes:
        run: the run's directory.
        page: the file.
        samples: samples in the run.
        shown: samples in the gallery.
        damaged: a line per shard that could not be read.
        bytes: size of the file.
    """

    run: Path
    page: Path
    samples: int
    shown: int
    damaged: list[str]
    bytes: int

    @property
    def exit_code(self) -> int:
        """3 when a shard could not be read, else 0."""
        return 3 if self.damaged else 0

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "run": str(self.run), "page": str(self.page), "exit_code": self.exit_code}


def report_job(run_path: Path, out: Path | None, max_samples: int, progress: Progress) -> ReportSummary:
    """Write a page about a run; a page of ours that is there is replaced.

    Reads finished shards only, so it may be asked while another process works on the run.

    Args:
        run_path: the run's directory.
        out: the file; None for ``<run>/report.html``.
        max_samples: pictures in the gallery; of a larger run some are chosen, which the page says.
        progress: who is told.

    Raises:
        UserError: not a run, nothing finished yet, or ``out`` is something that we did not make.
    """
    page = out if out is not None else run_path / NAME
    source = open_source(run_path)
    with disk_errors(page, "nothing was changed"):
        check_replaceable(page)
        text, samples, shown = build_page(source, max_samples, progress)
        data = text.encode("utf-8", "replace")  # half a surrogate pair can come out of a JSON file
        make_folder(page.parent)
        for path in page.parent.glob(f".{glob.escape(page.name)}.*"):  # of a report that was killed
            if is_leftover(path):
                path.unlink(missing_ok=True)
        write_atomic(page, data)
    return ReportSummary(run_path, page, samples, shown, source.damaged, len(data))


def check_replaceable(page: Path, mark: str = MARK) -> None:
    """Make sure that a page may be written to this place: only one with the same mark near its top is replaced.

    Raises:
        UserError: there is something else.
    """
    if page.is_dir():
        raise UserError(f"{page} is a folder: name a file with --out, such as {page / NAME}")
    if not page.exists() and not page.is_symlink():
        return
    if page.is_file() and not page.is_symlink():
        with page.open("rb") as file:
            if mark.encode() in file.read(300):
                return
    raise UserError(f"{page} was not {mark}: move it away, or name another file with --out")
