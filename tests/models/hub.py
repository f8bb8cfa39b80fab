"""A model hub on this machine: the few addresses of its interface that listing and fetching a model need."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    models: dict[str, Path]
    fetched: list[str]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        for name, folder in self.models.items():
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                return self._send(json.dumps({"id": name, "sha": COMMIT, "siblings": []}).encode(), body)
            if path == f"/api/models/{name}/tree/{COMMIT}":
                return self._send(json.dumps([*map(self._entry, *self._files(folder))]).encode(), body)
            for revision in ("main", COMMIT):
                start = f"/{name}/resolve/{revision}/"
                if path.startswith(start) and (folder / path.removeprefix(start)).is_file():
                    if body:
                        self.fetched.append(path.removeprefix(start))
                    return self._send((folder / path.removeprefix(start)).read_bytes(), body)
        self._send(b"{}", body, status=404, error="RepoNotFound")

    def _files(self, folder: Path) -> tuple[list[Path], list[Path]]:
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return files, [folder] * len(files)

    def _entry(self, file: Path, folder: Path) -> dict[str, str | int]:
        return {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
        }

    def _send(self, data: bytes, body: bool, status: int = 200, error: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serve folders as hub models.

    Yields:
        The hub's address, and a list that grows by the files that are fetched.
    """
    fetched: list[str] = []
    handler = type("Handler", (_Handler,), {"models": models, "fetched": fetched})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", fetched
    finally:
        server.shutdown()
        server.server_close()
