"""Child processes that run code on untrusted bytes which may loop, allocate or crash: decoders, Parquet.

A child is `python -m MODULE`. It answers one request after the other on its standard streams, and ends when its input
ends, which happens however its parent ends. The kernel enforces limits on each request: at the memory limit an
allocation fails, at the limit of processor time the process is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from schemas.errors import ServiceError, UserError

_FRAME = struct.Struct("<II")  # bytes of the JSON that follows, and of the data behind it
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_PASSED_ON: dict[str, type[Exception]] = {"OSError": OSError, "ServiceError": ServiceError, "UserError": UserError}
_KEPT = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")


class Lost(Exception):
    """A child ended because of a request. `kind` is `too_slow` or `crashed`."""

    def __init__(self, kind: str, detail: str):
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


class Child:
    """The parent's side of a child that runs `module`.

    `environment` is added to the few variables that a child gets; no API key is among them.
    """

    def __init__(self, module: str, environment: Mapping[str, str] | None = None):
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={
                "PYTHONPATH": paths,
                **{name: os.environ[name] for name in _KEPT if name in os.environ},
                **(environment or {}),
            },
        )

    def send(self, head: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a request. Raises Lost, MemoryError or RuntimeError if the child has ended."""
        assert self._process.stdin
        try:
            send(self._process.stdin, head, data)
        except BrokenPipeError:
            raise self._why() from None

    def receive(self) -> tuple[Any, bytes]:
        """Wait for a reply.

        Raises the errors of `send`, the OSError, ServiceError or UserError that the child raised, and RuntimeError for
        any other exception in the child.
        """
        assert self._process.stdout
        try:
            head, data = receive(self._process.stdout)
        except EOFError:
            raise self._why() from None
        if "bug" in head:
            raise RuntimeError(f"in a child process: {head['bug']}")
        if "raised" in head:
            kind, *arguments = head["raised"]
            raise _PASSED_ON[kind](*arguments)
        return head, data

    def end(self) -> None:
        """Kill the child, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _why(self) -> Exception:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return Lost("too_slow", "it took more processor time than its size explains")
        if -code in _CRASHES:
            return Lost("crashed", f"the decoder crashed ({signal.Signals(-code).name})")
        if code == -signal.SIGKILL:
            return MemoryError("the system killed a child process: the machine is out of memory")
        return RuntimeError(f"a child process ended with code {code}")


def without_keys() -> dict[str, str]:
    """The environment without this project's own variables, among which is the key of a model server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEAFINSTRUCT_")}


def serve(answer: Callable[[Any, bytes, Callable[..., None]], None]) -> None:
    """The main loop of a child: call `answer(request, data, reply)` for each request.

    `reply(head, data)` sends one frame.
    """
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    for stop in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and service managers mean the parent, which ends this
        signal.signal(stop, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # libraries print parts of untrusted files
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            request, data = receive(requests)
            try:
                answer(request, data, lambda head, data=b"": send(replies, head, data))
            except (EOFError, BrokenPipeError):
                raise
            except (ServiceError, UserError) as error:
                send(replies, {"raised": (type(error).__name__, str(error))})
            except Exception as error:  # noqa: BLE001 - the parent raises it
                if isinstance(error, OSError) and error.errno:
                    send(replies, {"raised": ("OSError", error.errno, error.strerror, error.filename)})
                    continue
                send(replies, {"bug": f"{type(error).__name__}: {error}"})
            del data


@contextlib.contextmanager
def limits(memory: int, seconds: int) -> Iterator[None]:
    """Limit this process to `memory` more bytes and `seconds` more processor time while the block runs."""
    with open("/proc/self/statm", "rb") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU):
            resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def send(file: IO[bytes], head: Mapping[str, Any], data: bytes = b"") -> None:
    """Write one frame."""
    text = json.dumps(head).encode()
    file.write(_FRAME.pack(len(text), len(data)) + text)
    file.write(data)
    file.flush()


def receive(file: IO[bytes]) -> tuple[Any, bytes]:
    """Read one frame. Raises EOFError if the other side has ended."""
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        raise EOFError
    head, data = _FRAME.unpack(frame)
    text, found = file.read(head), file.read(data)
    if len(text) < head or len(found) < data:
        raise EOFError
    return json.loads(text), found
