"""An export to a dataset repository on a hub: ``dsfactory push``.

Files go up in batches, each a commit; the card and ``dsfactory.json`` last, so a repository with the latter is whole.
What the hub has already is not sent again: the same command goes on where it was stopped.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsfactory.core.run import is_run
from dsfactory.errors import UserError
from dsfactory.formats.folder import FolderTarget
from dsfactory.formats.manifest import MANIFEST
from dsfactory.jobs.export import export_job
from dsfactory.runner.signals import check_stop

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_TARGET = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/?")
BATCH = 50
"""Files in a commit."""
LAST = ("README.md", MANIFEST)
_HUBS_OWN = (".gitattributes",)


@dataclass
class Pushed:
    """What a push did, or would do.

    Attributes:
        source: the export.
        repository: the dataset's id.
        files: how many it has.
        sent: those that the hub did not have, by size in bytes.
        deleted: files of the repository that the export does not have.
    """

    source: Path
    repository: str
    files: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "source": str(self.source)}


def push_job(path: Path, to: str, public: bool = False, redo: bool = False, dry_run: bool = False) -> Pushed:
    """Send a run's Parquet export, or any export, to a hub.

    Args:
        path: a run, whose export in ``export/parquet`` is taken and made if it is not there; or an export.
        to: ``hf://datasets/OWNER/NAME``.
        public: a repository that is made can be seen by all; otherwise only by its owner.
        redo: delete what the repository holds beyond the export.
        dry_run: say what would be sent; only asks the hub.

    Raises:
        UserError: no such target or export, the repository holds other files, or the hub refuses or does not answer.
    """
    match = _TARGET.fullmatch(to)
    if match is None:
        raise UserError(f"--to {to}: write it as hf://datasets/OWNER/NAME")
    folder = path
    if is_run(path):
        folder = path / "export" / "parquet"
        if FolderTarget(folder).manifest() is None:
            export_job(path, "parquet", None, 0.1)
    if FolderTarget(folder).manifest() is None:
        raise UserError(f"{path} is neither a run nor an export: make one with 'dsfactory export RUN --format parquet'")
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    from huggingface_hub.errors import LocalTokenNotFoundError as NoToken

    done = Pushed(folder, match[1])
    try:
        _push(HfApi(), done, public, redo, dry_run)
    except OfflineModeIsEnabled as error:
        raise UserError(f"{to}: HF_HUB_OFFLINE is set, so nothing is sent: unset it") from error
    except NoToken as error:
        raise UserError(f"{to}: the hub wants to know who you are: set HF_TOKEN, or run 'hf auth login'") from error
    except HFValidationError as error:
        raise UserError(f"--to {to}: the hub has no such names") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise UserError(
                f"{to}: the hub refuses ({status}): set HF_TOKEN to a token that may write there"
            ) from error
        raise UserError(f"{to}: the hub answered {status}; what was sent is kept, try again") from error
    except (OSError, httpx2.HTTPError) as error:
        raise UserError(f"{to}: the hub does not answer ({error}); what was sent is kept, try again") from error
    return done


def _push(api: "HfApi", done: Pushed, public: bool, redo: bool, dry_run: bool) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        there = {item.path: item for item in api.list_repo_tree(done.repository, recursive=True, repo_type="dataset")
                 if hasattr(item, "blob_id")}  # fmt: skip
    except RepositoryNotFoundError:
        there = {}
        if not dry_run:
            api.create_repo(done.repository, repo_type="dataset", private=not public, exist_ok=True)
    ours = sorted(path.relative_to(done.source).as_posix() for path in done.source.rglob("*") if path.is_file())
    done.files = len(ours)
    done.deleted = sorted(there.keys() - {*ours, *_HUBS_OWN, "README.md"})
    if done.deleted and not redo:
        what = f"{done.deleted[0]} and {len(done.deleted) - 1} more" if len(done.deleted) > 1 else done.deleted[0]
        raise UserError(f"{done.repository} holds other files ({what}): name another, or delete them with --redo")
    done.sent = {
        name: (done.source / name).stat().st_size
        for name in ours
        if name not in there or not _same(done.source / name, there[name])
    }
    if dry_run:
        return
    first = [name for name in done.sent if name not in LAST]
    for start in range(0, len(first), BATCH):
        check_stop()
        names = first[start : start + BATCH]
        files = [CommitOperationAdd(name, done.source / name) for name in names]
        api.create_commit(done.repository, files, commit_message=f"{len(names)} files", repo_type="dataset")
    last: list[Any] = [CommitOperationAdd(name, done.source / name) for name in LAST if name in done.sent]
    last += [CommitOperationDelete(name) for name in done.deleted]
    if last:
        api.create_commit(done.repository, last, commit_message="Complete", repo_type="dataset")


def _same(path: Path, there: Any) -> bool:
    """Whether the hub's file has these bytes: large files are known by their SHA-256, others by their git hash."""
    if there.size != path.stat().st_size:
        return False
    if there.lfs is not None:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == str(there.lfs.sha256)
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == str(there.blob_id)
