"""A dataset to a hub on this machine, by the hub's own client: whole, again, stopped, refused."""

import base64
import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dsfactory.errors import UserError
from dsfactory.jobs import push as pushing
from dsfactory.jobs.push import push_job
from tests.command import called

TO = "hf://datasets/me/dogs"


class Hub(ThreadingHTTPServer):
    """The few addresses that a push needs. All files are small, as far as it says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[list[str]] = []
        self.stop_after = 10**9
        self.refuse = False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        name = "/".join(self.path.split("/")[3:5])
        if name not in self.server.repos:
            return self.say(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        files = self.server.repos[name]
        return self.say(200, [
            {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)} for path, data in files.items()
        ])  # fmt: skip

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuse:
            return self.say(403, {"error": "no"})
        if self.path.endswith("/repos/create"):
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repos[name], self.server.private[name] = {}, asked.get("private", asked.get("visibility"))
            return self.say(200, {"url": f"{self.server.url}/datasets/{name}"})
        if self.path.endswith("/validate-yaml"):
            return self.say(200, {"errors": [], "warnings": []})
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [{"path": item["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                     for item in json.loads(body)["files"]]  # fmt: skip
            return self.say(200, {"files": files})
        if len(self.server.commits) >= self.server.stop_after:
            return self.say(500, {"error": "down"})
        lines = [json.loads(line) for line in body.splitlines()]
        for line in lines:
            if line["key"] == "file":
                self.server.repos[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del self.server.repos[name][line["value"]["path"]]
        self.server.commits.append([line["value"]["path"] for line in lines if line["key"] == "file"])
        return self.say(200, {"commitUrl": f"{self.server.url}/datasets/{name}/commit/1", "commitOid": "1" * 40})

    def say(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for key, value in {
            **(headers or {}),
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import HfApi

    server = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=server.url, token="hf_good"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()


@pytest.fixture
def run_path(tiny_run, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "a", ignore=shutil.ignore_patterns("export")))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_becomes_a_private_dataset_with_card_croissant_and_parquet(run_path, hub):
    done = called("push", str(run_path), "--to", TO, cwd=run_path.parent)
    assert done.returncode == 0, done.stderr
    assert hub.repos["me/dogs"] == files(run_path / "export" / "parquet")
    assert {"README.md", "croissant.json", "data/train-00000.parquet"} <= hub.repos["me/dogs"].keys()
    assert hub.private["me/dogs"] in (True, "private")
    assert hub.commits[-1] == ["README.md", "dsfactory.json"]
    again = push_job(run_path, TO)
    assert again.sent == {} and len(hub.commits) == 2


def test_a_push_that_was_stopped_goes_on(run_path, hub, monkeypatch):
    monkeypatch.setattr(pushing, "BATCH", 2)
    hub.stop_after = 1
    with pytest.raises(UserError, match="answered 500; what was sent is kept"):
        push_job(run_path, TO)
    assert len(hub.repos["me/dogs"]) == 2 and "dsfactory.json" not in hub.repos["me/dogs"]
    hub.stop_after = 10**9
    rest = push_job(run_path, TO)
    assert len(rest.sent) == rest.files - 2 and hub.repos["me/dogs"] == files(run_path / "export" / "parquet")


def test_a_dry_run_sends_nothing_and_files_of_others_stay(run_path, hub):
    assert len(push_job(run_path, TO, dry_run=True).sent) >= 5 and hub.repos == {}
    hub.repos["me/dogs"] = {"thesis.txt": b"mine"}
    with pytest.raises(UserError, match=r"me/dogs holds other files \(thesis.txt\).*--redo"):
        push_job(run_path, TO)
    assert hub.repos["me/dogs"] == {"thesis.txt": b"mine"}
    assert push_job(run_path, TO, redo=True).deleted == ["thesis.txt"] and "thesis.txt" not in hub.repos["me/dogs"]


def test_what_cannot_be_is_one_line(run_path, hub):
    hub.refuse = True
    with pytest.raises(UserError, match=r"refuses \(403\): set HF_TOKEN"):
        push_job(run_path, TO)
    with pytest.raises(UserError, match="write it as hf://datasets/OWNER/NAME"):
        push_job(run_path, "s3://x/y")
    with pytest.raises(UserError, match="neither a run nor an export"):
        push_job(run_path.parent / "nothing", TO)
