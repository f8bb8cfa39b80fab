"""A place in an object store, through fsspec: list, read, write whole objects, delete.

What is relied upon: an object appears when its upload is complete, in full; a listing shows it from then on; and an
object can be created only if none of its name is there (``If-None-Match: *``). Endpoint and credentials come from where
the protocol's package finds them, and are neither read nor kept here.
"""

import contextlib
import glob
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dsfactory.errors import DsfactoryError, UserError
from dsfactory.storage.disk import OUT_OF_SPACE
from dsfactory.storage.remote import PACKAGES

_EXTRAS = {"s3fs": "'dsfactory[s3]'"}


@dataclass(frozen=True)
class Entry:
    """An object in a listing.

    Attributes:
        size: in bytes.
        version: changes whenever the object is written again.
    """

    size: int
    version: str


class Store:
    """A prefix of a bucket. Names are relative to it, parts joined by slashes.

    Every method raises :class:`UserError`, one line, when the store cannot be used; the library has retried by then.

    Args:
        url: such as ``s3://bucket/runs/a``.

    Attributes:
        url: as given.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        protocol, _, self._root = url.partition("://")
        package = PACKAGES[protocol]
        if find_spec(package) is None:
            raise UserError(f"{protocol}:// needs {package}: pip install {_EXTRAS.get(package, package)}")
        import fsspec

        logging.getLogger("asyncio").addFilter(_worth_showing)
        with self._errors():
            self._files: Any = fsspec.filesystem(protocol, use_listings_cache=False)

    def check_bucket(self) -> None:
        """Make sure that the bucket is there; for a place where nothing was found."""
        bucket = self._root.partition("/")[0]
        with self._errors():
            try:
                self._files.ls(bucket)
            except FileNotFoundError as error:
                if error.__cause__ is not None:  # an empty bucket is a FileNotFoundError too
                    raise UserError(f"{self.url}: there is no bucket {bucket}: make it first") from error
            except PermissionError:
                pass  # who may use a part of a bucket only

    def entries(self, folder: str = "") -> dict[str, Entry | None]:
        """What lies directly below a folder, by name; None stands for a folder in it."""
        with self._errors():
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        own = self._files._strip_protocol(self._path(folder)) + "/"  # what a console makes for an empty folder
        names = {item["name"].removeprefix(own).rstrip("/"): item for item in found if item["name"].startswith(own)}
        return {name: None if item["type"] == "directory" else _entry(item) for name, item in names.items() if name}

    def find(self, folder: str = "") -> dict[str, Entry]:
        """Every object below a folder by its name."""
        with self._errors():
            self._files.invalidate_cache()
            found = self._files.find(self._path(folder), detail=True)
        root = self._files._strip_protocol(self._root) + "/"
        files = {path: item for path, item in found.items() if path.startswith(root) and item["type"] == "file"}
        return {path.removeprefix(root): _entry(item) for path, item in files.items() if not path.endswith("/")}

    def entry(self, name: str) -> Entry | None:
        """An object as a listing would tell it; None when there is none of this name."""
        with self._errors():
            self._files.invalidate_cache()
            try:
                found = self._files.info(self._path(name))
            except FileNotFoundError:
                return None
        return _entry(found) if found["type"] == "file" else None

    def read(self, name: str) -> bytes | None:
        """An object's content; None when there is none of this name."""
        with self._errors():
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        with self._errors():
            self._files.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless one of its name is there; whether it was written."""
        with self._errors():
            try:
                self._files.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if "ConditionalRequestConflict" in f"{error.__cause__}":  # S3, when another one is writing it
                    return False
                raise
        return True

    def upload(self, files: Sequence[tuple[Path, str]]) -> None:
        """Upload local files, several at a time; each appears whole or not at all."""
        with self._errors():
            if len(files) == 1:
                self._files.put_file(str(files[0][0]), self._path(files[0][1]))
            elif files:
                self._files.put([str(path) for path, _ in files], [self._path(name) for _, name in files])

    def download(self, files: Sequence[tuple[str, Path]]) -> None:
        """Fetch objects into local files, several at a time. After an error the files may be incomplete."""
        with self._errors():
            if len(files) == 1:
                self._files.get_file(self._path(files[0][0]), str(files[0][1]))
            elif files:
                self._files.get([self._path(name) for name, _ in files], [str(path) for _, path in files])

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are gone already do not matter."""
        paths = [self._path(name) for name in names]
        patterns = [path for path in paths if glob.has_magic(path)]  # a list of them would delete what they match
        with self._errors():
            for path in patterns:
                with contextlib.suppress(FileNotFoundError):
                    self._files.rm_file(path)
            if plain := [path for path in paths if path not in patterns]:
                with contextlib.suppress(FileNotFoundError):
                    self._files.rm(plain)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DsfactoryError:
            raise
        except Exception as error:  # each library has its own
            if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
                raise
            raise UserError(f"{self.url} cannot be used: {_reason(error)}") from error


def _worth_showing(record: logging.LogRecord) -> bool:
    """False for what is left of a request whose connection broke: it was retried, or its error is raised."""
    error = record.exc_info[1] if record.exc_info else None
    return not type(error).__module__.startswith("aiohttp.")


def _entry(item: dict[str, Any]) -> Entry:
    version = next((item[name] for name in ("ETag", "etag", "md5Hash", "LastModified") if item.get(name)), "")
    return Entry(item["size"], str(version))


def _reason(error: BaseException) -> str:
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
    if isinstance(error, PermissionError):
        return f"access is denied ({error}): check the credentials and the bucket's policy"
    text = " ".join(str(error).split())
    return f"{text or kind} ({kind}): finished work is kept, give the same command again when it answers"
