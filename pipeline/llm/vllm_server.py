"""A vLLM server of the pipeline's own: started, watched, and ended with the pipeline.

vLLM lives in an environment of its own; all that the pipeline knows of it is a Python and a URL. The launcher starts
one server and gives its URL to every worker on the machine.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
GUARD = Path(__file__).with_name("process_guard.py")
PYTHON_VARIABLE = "LEAFINSTRUCT_VLLM_PYTHON"
RESTARTS = 3
_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?((INFO|WARNING|ERROR) \S+ \S+ \[\S+\] )?")
SPEAK_EVERY = 5.0                                               # seconds between two lines of progress
# Eager: ready in about half the time on two cores. No blanks between JSON tokens: fewer tokens to write. Prompts whole:
# a seeded request whose prompt is read in chunks ends vLLM 0.32 on a CPU ("CPU Generator does not use offset").
CPU_FLAGS = ("--enforce-eager", "--no-enable-chunked-prefill", "--structured-outputs-config",
             '{"backend": "xgrammar", "disable_any_whitespace": true}')
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1"}       # the first in GiB


class Server:
    """A running server at `url` (with `/v1`). Restarted when it dies, at most three times, on the same port.

    `closing`, when set, ends a start that is under way. `model` is a folder, or a hub name that vLLM downloads. Raises
    UserError when the server does not get ready; the end of its log is in the message. A context manager. Whatever ends
    this process, `kill -9` included, ends the server too: see `process_guard.py`.
    """

    def __init__(self, model: str, served_name: str, *, log_path: str | Path,
                 python: str | Path | None = None, host: str = "127.0.0.1", port: int = 0, max_model_len: int = 2048,
                 max_num_seqs: int = 64, flags: Sequence[str] | None = None, start_timeout: float = 900.0,
                 closing: threading.Event | None = None):
        self.log_path, self.start_timeout = Path(log_path).resolve(), start_timeout
        port = port or free_port(host)
        if flags is None:
            flags = () if shutil.which("nvidia-smi") else CPU_FLAGS
        self.root, self.url = f"http://{host}:{port}", f"http://{host}:{port}/v1"
        local = os.path.isdir(model)
        self._command = [
            str(python or find_python()), "-m", "vllm.entrypoints.openai.api_server",
            "--model", os.path.abspath(model) if local else model, "--served-model-name", served_name,
            "--host", host, "--port", str(port), "--max-model-len", str(max_model_len),
            "--max-num-seqs", str(max_num_seqs), *flags]
        self._environment = ENVIRONMENT | {"HF_HUB_OFFLINE": "1" if local else "0"} | dict(os.environ)
        self._closing = closing or threading.Event()
        self._lock = threading.Lock()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._guard = self._spawn("wb")
        try:
            self._wait_until_healthy(self._guard)
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._watch, name="vllm-watch", daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End the server and all its processes; returns when they are gone."""
        with self._lock:
            self._closing.set()
        _end(self._guard)

    def _spawn(self, mode: str) -> subprocess.Popen:
        with open(self.log_path, mode) as log:
            log.write(b"starting the server\n")
            log.flush()
            return subprocess.Popen(
                [sys.executable, "-I", str(GUARD), *self._command],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                cwd=self.log_path.parent,                       # not the project's: vLLM must not import its packages
                env=self._environment)

    def _wait_until_healthy(self, guard: subprocess.Popen) -> None:
        started = spoken = time.monotonic()
        say(f"vLLM: starting (log: {self.log_path})")
        while not _healthy(self.root):
            seconds = time.monotonic() - started
            if guard.poll() is not None:
                raise UserError(f"The vLLM server ended while it started. The end of {self.log_path}:\n"
                                + "\n".join(last_lines(self.log_path, 12)))
            if seconds > self.start_timeout:
                raise UserError(f"The vLLM server was not ready after {seconds:.0f} s; see {self.log_path}.")
            if time.monotonic() - spoken >= SPEAK_EVERY:
                spoken = time.monotonic()
                say(f"vLLM: {seconds:.0f} s, {_PREFIX.sub('', last_lines(self.log_path, 1)[0])[:100]}")
            if self._closing.wait(0.25):
                return
        say(f"vLLM: ready at {self.url} after {time.monotonic() - started:.0f} s")

    def _watch(self) -> None:
        """Start the server again when it dies; the client meanwhile tries again."""
        for restart in range(1, RESTARTS + 1):
            self._guard.wait()
            with self._lock:
                if self._closing.is_set():
                    return
                _end(self._guard)
                say(f"vLLM: the server died; restart {restart} of {RESTARTS}")
                self._guard = self._spawn("ab")
            try:
                self._wait_until_healthy(self._guard)
            except UserError as error:
                say(str(error))
                _end(self._guard)
        self._guard.wait()
        if not self._closing.is_set():
            say(f"vLLM: the server died again after {RESTARTS} restarts and stays down; see {self.log_path}")


def find_python() -> Path:
    """A Python that has vLLM: $LEAFINSTRUCT_VLLM_PYTHON, the project's .venv-vllm, or this one; else UserError."""
    if named := os.environ.get(PYTHON_VARIABLE):
        if not os.access(named, os.X_OK):
            raise UserError(f"{PYTHON_VARIABLE} is {named!r}, which is not a program that can be run.")
        return Path(named)
    own = PROJECT / ".venv-vllm/bin/python"
    if own.exists():
        return own
    if importlib.util.find_spec("vllm"):
        return Path(sys.executable)
    raise UserError("There is no vLLM here: run `make setup-vllm`, or give the address of an OpenAI-compatible "
                    "server with --llm-url.")


def model_identity(model_dir: str | Path, name: str) -> str:
    """`name@hash` of the served folder's files, so that answers of other weights are never taken for its own."""
    digest = hashlib.sha256()
    for path in sorted(p for p in Path(model_dir).iterdir() if p.is_file()):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{name}@{digest.hexdigest()[:16]}"


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file that say something."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return [line for line in lines if line][-count:]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _healthy(root: str) -> bool:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{root}/health", timeout=5) as reply:
            return reply.status == 200
    except (OSError, http.client.HTTPException):                # what speaks on that port may be no web server
        return False


def _end(guard: subprocess.Popen) -> None:
    """Close the guard's pipe, at which it ends the group, and see that nothing of the group is left."""
    if not guard.stdin.closed:
        guard.stdin.close()
    try:
        guard.wait(15)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(guard.pid, 9)                                 # a guard that was killed leaves its group behind
    except ProcessLookupError:
        pass
    guard.wait()
