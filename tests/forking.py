"""``dsfactory`` processes that begin at once: forked from one that has torch and diffusers in memory already.

Loading them takes seconds of a core, and the tests start hundreds of commands. A forked command is a process like any
other: it can be killed, it has its own folder and variables, and ``__main__`` is what ``python -m dsfactory`` makes of
it. Only what is read as an interpreter starts is not read anew: whoever sets such variables needs a fresh process, see
:meth:`Nursery.starts_alike`.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
MESSAGE = 1 << 18
READ_AT_START = ("CUDA_", "DIFFUSERS_", "HF_", "HOME", "OMP_", "PATH", "PYTHON", "TMPDIR", "TRANSFORMERS_", "XDG_")
"""Beginnings of variables that an interpreter or a library reads once; libraries set others as they are loaded."""
READ_LATER = ("HF_TOKEN",)


class Forked:
    """A forked process: what the tests use of :class:`subprocess.Popen`.

    Attributes:
        pid: of the process.
        returncode: its exit code, or a signal's number below 0; None while it is not known to have ended.
    """

    def __init__(self, pid: int, out: IO[bytes], err: IO[bytes], status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._output = (out, err)
        self._status = status

    def poll(self) -> int | None:
        return self._wait(0)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; standard output and standard error."""
        if self._wait(timeout) is None:
            raise subprocess.TimeoutExpired("dsfactory", timeout or 0)
        said = []
        for file in self._output:
            file.seek(0)
            said.append(file.read().decode())
            file.close()
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(int(os.read(self._status, 64)))
            os.close(self._status)
        return self.returncode


class Nursery:
    """The process that is forked, as its parent sees it; it ends with its parent."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            line = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
            subprocess.Popen(line, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def starts_alike(self, environment: dict[str, str]) -> bool:
        """Whether a fresh process with these variables would start as this one did."""
        names = {name for name in {*environment, *self._environment} if name.startswith(READ_AT_START)}
        return all(environment.get(name) == self._environment.get(name) for name in names.difference(READ_LATER))

    def start(self, arguments: list[str], cwd: Path, environment: dict[str, str]) -> Forked:
        """Begin ``dsfactory ARGUMENTS`` in a folder."""
        os.umask(umask := os.umask(0))
        job = {"arguments": arguments, "cwd": str(cwd), "environment": environment, "umask": umask}
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 -- open until they are read
        read, write = os.pipe()
        socket.send_fds(self._socket, [json.dumps(job).encode()], [out.fileno(), err.fileno(), write])
        os.close(write)
        return Forked(int(self._socket.recv(64)), out, err, read)


def serve(channel: socket.socket) -> dict[str, Any]:
    """Fork a child for every job; returns in the child, with its job."""
    pending: dict[int, int] = {}

    def reap(*_: object) -> None:
        for pid in list(pending):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                os.write(pending[pid], str(status).encode())
                os.close(pending.pop(pid))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everyone; the tests decide
    signal.signal(signal.SIGCHLD, reap)
    while True:
        data, given, _, _ = socket.recv_fds(channel, MESSAGE, 3)
        if not data:
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # a child that ends at once is known by then
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            channel.close()
            out, err, status = given
            os.dup2(out, 1)
            os.dup2(err, 2)
            for descriptor in (out, err, status, *pending.values()):
                os.close(descriptor)
            job: dict[str, Any] = json.loads(data)
            return job
        out, err, pending[pid] = given
        os.close(out)
        os.close(err)
        channel.send(str(pid).encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def main() -> None:
    from scripts.crash_chain import load_libraries

    channel = socket.socket(fileno=int(sys.argv[1]))
    load_libraries()
    gc.freeze()  # collections in the children would copy what they share
    job = serve(channel)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.umask(job["umask"])
    os.chdir(job["cwd"])
    sys.path[0] = job["cwd"]
    sys.argv[1:] = job["arguments"]
    code: Any = 0
    try:
        runpy.run_module("dsfactory", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # as an interpreter ends that nobody catches anything for
        traceback.print_exc()
        code = 1
    # What an interpreter does as it ends, but for taking every module apart, which copies all the shared memory.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main()
