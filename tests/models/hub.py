"""A model hub on this machine: the few addresses that listing and fetching need, with faults on demand."""

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors"
"""Such files are stored elsewhere: they are redirected, and may be in the Xet store."""


@dataclass
class Fault:
    """What goes wrong with requests.

    Attributes:
        path: pattern of the paths that it concerns.
        times: how often.
        status: answer this instead.
        headers: with it.
        body: with it.
        reset: break the connection off instead of answering.
        hang: seconds of silence instead of an answer.
        cut: stop after so many bytes of a body, with a reset if ``reset``, in silence for ``hang`` seconds else.
    """

    path: str = "*"
    times: int = 10**9
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    reset: bool = False
    hang: float = 0.0
    cut: int | None = None


@dataclass
class Hub:
    """A running hub: change its faults, look at what it was asked.

    Attributes:
        models: hub id to folder.
        url: where it answers.
        faults: the first that fits is taken, until its times are over.
        gated: hub ids that want a token which is ``good``.
        refused: a token that is not one.
        xet: address of a Xet store for large files.
        rate: bytes per second of a body.
        fetched: the files that were given out, by their names.
        asked: every path, with its method and ``Range``.
    """

    models: dict[str, Path]
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    gated: tuple[str, ...] = ()
    refused: str | None = None
    xet: str | None = None
    rate: float | None = None
    fetched: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def store(self) -> str:
        """Where large files are: another host, as far as a client can tell."""
        return self.url.replace("127.0.0.1", "localhost")

    def fault(self, path: str, body: bool) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fnmatch(path, fault.path) and (body or fault.cut is None):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        token = self.headers.get("Authorization", "")
        fault = self.hub.fault(path, body)
        if fault is not None and fault.cut is None:
            if fault.status is None:
                time.sleep(fault.hang)
                return self._break(fault.reset)
            return self._send(fault.body, body, fault.status, **fault.headers)
        if self.hub.refused and self.hub.refused in token:
            return self._fail(401, None, "Invalid credentials in Authorization header")
        for name, folder in self.hub.models.items():
            start = f"/api/models/{name}"
            if path in (start, f"{start}/revision/main", f"{start}/revision/{COMMIT}"):
                return self._send(json.dumps({"id": name, "sha": COMMIT, "siblings": [],
                                              "gated": "auto" if name in self.hub.gated else False}).encode(),
                                  body, 200)  # fmt: skip
            if path.startswith(f"{start}/revision/"):
                return self._fail(404, "RevisionNotFound", "Invalid rev id")
            if path == f"{start}/tree/{COMMIT}":
                return self._send(
                    json.dumps([self._entry(file, folder) for file in _files(folder)]).encode(), body, 200
                )
            if path.startswith(f"{start}/xet-read-token/"):
                return self._send(b"{}", body, 200, **{
                    "X-Xet-Cas-Url": self.hub.xet or "", "X-Xet-Access-Token": "x",
                    "X-Xet-Token-Expiration": str(int(time.time()) + 3600),
                })  # fmt: skip
            for revision in ("main", COMMIT):
                start = f"/{name}/resolve/{revision}/"
                if path.startswith(start) and (folder / path.removeprefix(start)).is_file():
                    if name in self.hub.gated and "good" not in token:
                        return self._fail(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted")
                    return self._file(folder / path.removeprefix(start), name, folder, body, fault)
            start = f"/store/{name}/"
            if path.startswith(start):
                return self._body(folder / path.removeprefix(start), path.removeprefix(start), body, fault, {})
        self._fail(404 if token else 401, "RepoNotFound", "Repository not found")

    def _entry(self, file: Path, folder: Path) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": _etag(file)[:40],
        }
        if file.suffix == LARGE:
            entry["lfs"] = {"oid": _etag(file), "size": entry["size"], "pointerSize": 134}
            if self.hub.xet:
                entry["xetHash"] = _etag(file)
        return entry

    def _file(self, file: Path, name: str, folder: Path, body: bool, fault: Fault | None) -> None:
        relative = file.relative_to(folder).as_posix()
        headers = {"X-Repo-Commit": COMMIT}
        if file.suffix != LARGE:
            return self._body(file, relative, body, fault, headers)
        headers |= {"X-Linked-Size": str(file.stat().st_size), "X-Linked-ETag": f'"{_etag(file)}"',
                    "Location": f"{self.hub.store}/store/{name}/{relative}"}  # fmt: skip
        if self.hub.xet:
            token = f"{self.hub.url}/api/models/{name}/xet-read-token/{COMMIT}"
            headers |= {"X-Xet-Hash": _etag(file), "Link": f'<{token}>; rel="xet-auth"'}
        self._send(b"", body, 302, **headers)

    def _body(self, file: Path, name: str, body: bool, fault: Fault | None, headers: dict[str, str]) -> None:
        data, asked = file.read_bytes(), self.headers.get("Range")
        start = int(asked.partition("=")[2].partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        given = {**headers, "ETag": f'"{_etag(file)}"', "Content-Length": str(len(data) - start)}
        if asked:
            given["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._headers(given)
        if not body:
            return
        if start == 0:
            self.hub.fetched.append(name)
        end = len(data) if fault is None or fault.cut is None else min(len(data), start + fault.cut)
        step = len(data) if self.hub.rate is None else max(1, int(self.hub.rate / 20))
        for place in range(start, end, max(1, step)):
            try:
                self.wfile.write(data[place : min(place + step, end)])
                self.wfile.flush()
            except OSError:
                self.close_connection = True
                return
            if self.hub.rate is not None:
                time.sleep(step / self.hub.rate)
        if end < len(data) and fault is not None:
            time.sleep(fault.hang or 0.1)
            self._break(fault.reset)

    def _fail(self, status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send(json.dumps({"error": message}).encode(), self.command == "GET", status, **headers)

    def _send(self, data: bytes, body: bool, status: int, **headers: str) -> None:
        self.send_response(status)
        self._headers({"Content-Type": "application/json", **headers, "Content-Length": str(len(data))})
        if body:
            self.wfile.write(data)

    def _headers(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _break(self, reset: bool) -> None:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no news."""


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _etag(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def serve(models: dict[str, Path]) -> Iterator[Hub]:
    """Serve folders as hub models."""
    hub = Hub(models)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
