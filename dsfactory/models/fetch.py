"""Fetching a model from a hub, in a process of its own that can be ended at any moment.

huggingface_hub and hf_xet do not stop for a signal before the file in hand is complete, and may wait for minutes
without a word. So they work in a child; this side shows how far it is, ends it when it is silent or when the user wants
to stop, and removes the unfinished files that it leaves.
"""

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dsfactory.errors import UserError
from dsfactory.models.download_bar import DownloadBar, choose_bar
from dsfactory.models.hub_child import Request
from dsfactory.models.hub_errors import AGAIN

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits before each further try of a request."""

SILENCE_S = 30.0
"""A download process that says nothing for so long is ended; plain HTTP speaks at least every ten seconds."""

NOTE_FROM_S = 3.0
"""What takes less is not worth a line."""

_START_S = 60.0
"""The same, before it has listed the files: on a busy machine it takes a while to load the libraries."""

_CHILD = [sys.executable, "-P", "-c", "from dsfactory.models.hub_child import main; main()"]


def fetch(
    name: str,
    hub_id: str,
    revision: str | None = None,
    patterns: tuple[str, ...] | None = None,
    to: Path | None = None,
) -> Path:
    """Fetch what a model needs into the hub's cache or into a folder; what is there already stays.

    Args:
        name: what the user calls the model.
        hub_id: ``owner/name``.
        revision: branch, tag or commit; None for the newest.
        patterns: names of files, with wildcards; None for those that its pipeline needs.
        to: a folder; None for the hub's cache.

    Returns:
        The model's folder.

    Raises:
        UserError: one line says why it could not be fetched.
    """
    with _one_at_a_time(hub_id, to) as leftovers, choose_bar(name) as bar:
        request = Request(name, hub_id, revision, patterns, str(to) if to else None, WAITS_S)
        try:
            said = _converse(request, bar, xet=True)
            if "xet" in said:
                bar.note("the Xet store does not give the files: going on without it")
                _remove(leftovers)
                said = _converse(request, bar, xet=False)
        finally:
            _remove(leftovers)
    if "done" not in said:
        raise UserError(said.get("error") or said["xet"])
    return Path(said["done"]["folder"])


def _converse(request: Request, bar: DownloadBar, xet: bool) -> dict[str, Any]:
    """Start a download process and listen until it ends, or has been silent for too long.

    Returns:
        Its last message; ``{"xet": line}`` too when it fell silent while Xet may be why.
    """
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **({} if xet else {"HF_HUB_DISABLE_XET": "1"})}
    # A session of its own, so that Ctrl-C reaches this process only, which then ends the child.
    child = subprocess.Popen(
        _CHILD, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(request.as_line())
        child.stdin.flush()
        patience, told = [_START_S], dict[str, float]()
        for line in _lines(child.stdout.fileno(), patience):
            said = json.loads(line)
            if "note" in said:
                patience[0] = SILENCE_S + said["wait"]
                # Files that come side by side fail alike.
                if said["wait"] + said["spent"] >= NOTE_FROM_S and time.monotonic() - told.get(said["note"], -1.0) > 1:
                    bar.note(f"{said['note']}: trying again in {said['wait']:.0f} s")
                told[said["note"]] = time.monotonic()
            elif "total" in said:
                patience[0] = SILENCE_S
                bar.begin(said["total"])
            elif "bytes" in said:
                patience[0] = SILENCE_S
                bar.at(said["bytes"])
            else:
                return dict(said)
    except TimeoutError:
        return {"xet" if xet else "error": f"the hub went silent while model {request.name} was fetched: {AGAIN}"}
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
    return {"error": f"fetching model {request.name} ended unexpectedly: {AGAIN}"}


def _lines(descriptor: int, patience: list[float]) -> Iterator[bytes]:
    """Lines as they come, until the stream ends.

    Args:
        descriptor: of the stream.
        patience: one number, which may change on the way: the seconds to wait for the next line.

    Raises:
        TimeoutError: none came.
    """
    buffer = b""
    while select.select([descriptor], [], [], patience[0])[0]:
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return
        *lines, buffer = (buffer + chunk).split(b"\n")
        yield from lines
    raise TimeoutError


@contextmanager
def _one_at_a_time(hub_id: str, to: Path | None) -> Iterator[list[Path]]:
    """Wait for other processes of ours that fetch the same model.

    Yields:
        The folders in which unfinished files may be left.

    Raises:
        UserError: the cache cannot be written.
    """
    from huggingface_hub import constants

    name = f"models--{hub_id.replace('/', '--')}"
    cache = Path(constants.HF_HUB_CACHE)
    lock = (to / ".cache" / "huggingface" if to else cache / ".locks" / name) / "dsfactory.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    except OSError as error:
        place = f"folder {to}" if to else f"model cache {cache}"
        advice = "give another --to" if to else "set HF_HOME to a folder of yours"
        raise UserError(f"the {place} cannot be written at {lock.parent} ({error.strerror}): {advice}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process fetches model {hub_id}: waiting for it", file=sys.stderr, flush=True)
            while True:  # in small steps, so that a signal ends it
                time.sleep(0.2)
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    continue
        leftovers = [lock.parent / "download"] if to else [cache / name / "blobs"]
        _remove(leftovers)
        yield leftovers


def _remove(folders: list[Path]) -> None:
    """Remove unfinished files: their names are unique to a download, so none is ever gone on with.

    A file that another tool is writing at this moment is locked by it, and stays.
    """
    for folder in folders:
        for file in folder.rglob("*.incomplete"):
            locks = folder.parents[1] / ".locks" / folder.parent.name
            try:
                with (locks / f"{file.name.partition('.')[0]}.lock").open("a") as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file.unlink(missing_ok=True)
            except BlockingIOError:
                continue
            except FileNotFoundError:  # nobody ever locked it
                file.unlink(missing_ok=True)
