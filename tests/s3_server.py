"""A real S3-speaking server on loopback (moto's), whose answers can be made to go wrong."""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "nobody-may-see-this",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
"""What a client needs: credentials that the server takes, and nothing of the user's."""

_ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


class S3Server:
    """The server and what a test does to it.

    Attributes:
        url: the endpoint.
        fault: called with method and path of every request before it is served; ``"error"`` answers 500, ``"drop"``
            closes the connection, ``"hang"`` says nothing until :meth:`calm`, None serves it.
        hanging: set when a request hangs.
        dead: whether nobody listens.
    """

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._app = DomainDispatcherApplication(create_backend_app)
        self._released = threading.Event()
        self._buckets = 0
        self.hanging = threading.Event()
        self.calm()
        self._port = 0
        self.start()
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]}
        self.client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **credentials)

    def start(self) -> None:
        self.calm()
        self._server = make_server("127.0.0.1", self._port, self._serve, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.dead = False

    def die(self) -> None:
        """From here on nobody listens; what was stored is there again after :meth:`start`."""
        self.fault = lambda method, path: "drop"  # connections that are open
        self._released.set()  # and those that hang
        self._server.shutdown()
        self._server.server_close()
        self.dead = True

    def calm(self) -> None:
        """All is well again; requests that hang lose their connection."""
        self.fault: Callable[[str, str], str | None] = lambda method, path: None
        self._released.set()
        self._released = threading.Event()
        self.hanging.clear()

    def bucket(self, name: str = "") -> str:
        """Make a bucket, of a new name unless one is given, and return its name."""
        self._buckets += 1
        name = name or f"bucket-{self._buckets}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Everything below a prefix by its name there, without locks that nobody holds."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        read = {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        held = {key: data for key, data in read.items() if data or not re.search(r"lock\.[0-9]{6}$", key)}
        return {key.removeprefix(f"{prefix}/"): data for key, data in held.items()}

    def wait_for(self, bucket: str, key: str, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not self.client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
            assert time.monotonic() < end, f"{key} did not appear"
            time.sleep(0.05)

    def _serve(self, environ, start_response):
        released = self._released
        what = self.fault(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if what is None:
            return self._app(environ, start_response)
        if what == "error":
            start_response("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [_ERROR]
        if what == "hang":
            self.hanging.set()
            released.wait()
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return []


def uploads(*endings: str, what: str = "error") -> Callable[[str, str], str | None]:
    """A fault of all uploads to keys with one of these endings."""
    return lambda method, path: what if method == "PUT" and path.endswith(endings) else None
