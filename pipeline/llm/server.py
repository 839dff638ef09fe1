"""The pipeline's own model server: started, watched, and stopped with the pipeline.

The launcher starts one server and gives its URL to every worker on the machine. The pipeline knows only its command and
that URL (`vllm.py` and `llama_cpp.py` make the command).
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from pipeline.storage.child import without_keys
from schemas.errors import ServiceError, UserError

GUARD = Path(__file__).with_name("process_guard.py")
HOST = "127.0.0.1"
RESTARTS = 3
START_TIMEOUT = 900.0  # seconds
SPEAK_EVERY = 5.0 if sys.stderr.isatty() else 30.0  # seconds between two lines of progress
_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?((INFO|WARNING|ERROR) \S+ \S+ \[\S+\] )?|^[\d.]+ [A-Z] ")


@dataclasses.dataclass(frozen=True)
class Program:
    """A server that can be started: its name, its command, and additions to the environment.

    `memory` is the bytes that all its processes need together; 0 if that is not known.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    memory: int = 0


class Server:
    """A running `program`, which listens at `url` (with `/v1`); restarted if it dies, at most three times.

    A context manager. `closing`, when set, cancels a start. Raises UserError if the server does not become ready; the
    message has the end of its log. However this process ends, also by `kill -9`, the server ends too, and its folder of
    temporary files is deleted: see `process_guard.py`.
    """

    def __init__(
        self,
        program: Program,
        url: str,
        *,
        log_path: str | Path,
        start_timeout: float = START_TIMEOUT,
        closing: threading.Event | None = None,
    ):
        self.program, self.url, self.root = program, url, url.removesuffix("/v1")
        self.log_path, self.start_timeout = Path(log_path).resolve(), start_timeout
        self._closing = closing or threading.Event()
        self._lock = threading.Lock()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.mkdtemp(prefix="leafinstruct-")  # a short path: vLLM has sockets in it
        try:
            self._guard = self._spawn("wb")
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        try:
            self._wait_until_healthy(self._guard)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._watch, name="server-watch", daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server and all its processes; returns when they have ended."""
        with self._lock:
            self._closing.set()
        _end(self._guard)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _spawn(self, mode: str) -> subprocess.Popen[bytes]:
        os.makedirs(self._folder, exist_ok=True)
        with open(self.log_path, mode) as log:
            log.write(b"starting the server\n")
            log.flush()
            return subprocess.Popen(
                [sys.executable, "-I", str(GUARD), self._folder, *self.program.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.log_path.parent,  # not the project's: vLLM must not import its packages
                env={**self.program.environment, **without_keys(), "TMPDIR": self._folder},
            )

    def _wait_until_healthy(self, guard: subprocess.Popen[bytes]) -> None:
        name = self.program.name
        started = spoken = time.monotonic()
        say(f"{name}: starting (log: {self.log_path})")
        while not healthy(self.root):
            seconds = time.monotonic() - started
            if guard.poll() is not None:
                raise UserError(
                    f"The {name} server ended while it started. The end of {self.log_path}:\n"
                    + "\n".join(last_lines(self.log_path, 12))
                )
            if seconds > self.start_timeout:
                raise UserError(f"The {name} server was not ready after {seconds:.0f} s; see {self.log_path}.")
            if time.monotonic() - spoken >= SPEAK_EVERY:
                spoken = time.monotonic()
                say(f"{name}: {seconds:.0f} s, {_PREFIX.sub('', last_lines(self.log_path, 1)[0])[:100]}")
            if self._closing.wait(0.25):
                return
        say(f"{name}: ready at {self.url} after {time.monotonic() - started:.0f} s")

    def _watch(self) -> None:
        """Start the server again if it dies; meanwhile the client retries."""
        name = self.program.name
        for restart in range(1, RESTARTS + 1):
            self._guard.wait()
            with self._lock:
                if self._closing.is_set():
                    return
                _end(self._guard)
                say(f"{name}: the server died; restart {restart} of {RESTARTS}")
                self._guard = self._spawn("ab")
            try:
                self._wait_until_healthy(self._guard)
            except UserError as error:
                say(str(error))
                _end(self._guard)
        self._guard.wait()
        if not self._closing.is_set():
            say(f"{name}: the server died again after {RESTARTS} restarts and stays down; see {self.log_path}")


def free_port(host: str = HOST) -> int:
    """A port that is free now, below those that systems give to whoever asks for any: it stays free until it is used."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((host, port))
            return port
    raise ServiceError(f"no free port was found on {host}")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file that are not blank."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return [line for line in lines if line][-count:]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def healthy(root: str) -> bool:
    """Whether the server at that address says that it is ready."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{root}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):  # the program on that port may not be a web server
        return False


def _end(guard: subprocess.Popen[bytes]) -> None:
    """Close the guard's pipe, so that it ends the group, and make sure that no process of the group is left."""
    if guard.stdin and not guard.stdin.closed:
        guard.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        guard.wait(15)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(guard.pid, 9)  # a guard that was killed leaves its group behind
    guard.wait()
