"""The process that talks to a hub: it may be killed at any time, and says what it does as JSON lines.

It reads one line, a :class:`Request`, from standard input, and ends when that is closed: with its parent.
What it writes: ``{"note", "wait", "spent"}`` when it asks again, ``{"total"}`` before and ``{"bytes"}`` during the
download, and at last one of ``{"done"}``, ``{"error"}`` and, where the Xet store failed but plain HTTP may not,
``{"xet"}``.
"""

import fnmatch
import glob
import json
import os
import shutil
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.folder import read_layout, require_complete
from dsfactory.models.hub_errors import NotTheHubError, explain

_TELL_EVERY_S = 0.2
_CHUNK = 2**18
"""Bytes that are written at once. huggingface_hub's own 10 MB are lost when a slow connection breaks off."""


@dataclass(frozen=True)
class Request:
    """What is to be fetched.

    Attributes:
        name: what the user calls the model.
        hub_id: ``owner/name``.
        revision: branch, tag or commit; None for the newest.
        patterns: file names with wildcards; None for what its pipeline needs.
        folder: where to; None for the hub's cache.
        waits: seconds before each further try.
    """

    name: str
    hub_id: str
    revision: str | None
    patterns: tuple[str, ...] | None
    folder: str | None
    waits: tuple[float, ...]

    def as_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Entry point of the process."""
    content = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    request = Request(**{**content, "waits": tuple(content["waits"])})
    try:
        outcome: dict[str, Any] = {"done": _fetch(request)}
    except UserError as error:
        outcome = {"error": str(error)}
    except Exception as error:  # libraries raise what they like, and their tracebacks help nobody
        xet = _from_xet(error)
        outcome = {"xet" if xet else "error": explain(error, request.name, request.hub_id, request.revision)}
    _say(**outcome)
    os._exit(0)  # threads may still wait for a network that is silent


def _fetch(request: Request) -> dict[str, Any]:
    """List a model's files, choose, and fetch them.

    Returns:
        The commit, and the folder.

    Raises:
        UserError: no pipeline, not a supported one, not a complete one; no room.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
    from huggingface_hub.hf_api import RepoFile

    from dsfactory.models.hub_client import be_patient

    if not constants.ENDPOINT.startswith(("https://", "http://")):
        raise UserError(f"HF_ENDPOINT is {constants.ENDPOINT!r}: an address begins with https://")
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    be_patient(request.waits, lambda why, wait, spent: _say(note=why, wait=wait, spent=spent))
    name, hub_id = request.name, request.hub_id
    try:
        info = HfApi().model_info(hub_id, revision=request.revision)
        tree = HfApi().list_repo_tree(hub_id, revision=info.sha, recursive=True)
        sizes = {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # what came is no listing
        raise NotTheHubError(constants.ENDPOINT) from error
    patterns = request.patterns
    if patterns is None:
        if "model_index.json" not in sizes:
            raise UserError(f"model {name} is not a diffusers pipeline: {_instead(hub_id, sizes)}")
        index = Path(hf_hub_download(hub_id, "model_index.json", revision=request.revision, local_dir=request.folder))
        layout = read_layout(json.loads(index.read_text(encoding="utf-8")), sizes, name)
        require_complete(layout, name)
        patterns = (*map(glob.escape, layout.files), "README.md")
    wanted = [name for name in sizes if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    if not wanted:
        raise UserError(f"model {name} has no file {', '.join(patterns)}")
    cache = Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}" / "snapshots" / str(info.sha)
    folder = Path(request.folder) if request.folder else cache
    needed = sum(sizes[name] for name in wanted if not (folder / name).exists())
    _require_space(folder, needed, name)
    _say(total=needed)
    snapshot_download(
        hub_id, revision=request.revision, allow_patterns=list(patterns), tqdm_class=_bar(), local_dir=request.folder
    )
    return {"commit": info.sha, "folder": str(folder)}


def _instead(hub_id: str, sizes: dict[str, int]) -> str:
    """What a repository without ``model_index.json`` has that could be given."""
    singles = [name for name in sizes if name.endswith(".safetensors") and "/" not in name]
    adapters = [name for name in singles if "lora" in name.lower() or name.startswith("adapter_model")]
    if "adapter_config.json" in sizes or (singles and len(adapters) == len(singles)):
        return "it is a LoRA, which needs a model to change"
    if singles:
        page = f"https://huggingface.co/{hub_id}/blob/main/{singles[0]}"
        return f"give the address of a single file that holds a whole model, such as --model {page}"
    return "it has no model_index.json"


def _require_space(folder: Path, needed: int, name: str) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(os.path.realpath(there)).free
    if free < needed:
        raise UserError(
            f"model {name} needs {needed / 1e9:.1f} GB and the disk of {there} has {free / 1e9:.1f} GB free: "
            "free some, or set HF_HOME to another disk"
        )


def _bar() -> type[Any]:
    """What huggingface_hub reports its bytes to: a tqdm bar that nobody sees."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    nowhere = open(os.devnull, "w")  # noqa: SIM115
    told = [0.0]
    most = [0]

    class Bytes(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            settings.pop("name", None)
            super().__init__(*args, **{**settings, "file": nowhere, "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            super().update(n)
            if self.unit == "B":
                most[0] = max(most[0], int(self.n))
                now = time.monotonic()
                if now - told[0] >= _TELL_EVERY_S:
                    told[0] = now
                    _say(bytes=most[0])
            return None

    return Bytes


def _from_xet(error: BaseException) -> bool:
    """Whether the Xet store failed, and not the hub or the disk."""
    link: BaseException | None = error
    while link is not None:
        if type(link) is RuntimeError or type(link).__name__.startswith("Xet"):
            return True
        response = getattr(link, "response", None)
        if response is not None and "xet-read-token" in str(response.url):
            return True
        link = link.__cause__ or link.__context__
    return False


_speaking = threading.Lock()


def _say(**what: Any) -> None:
    with _speaking:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)
