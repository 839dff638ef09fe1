"""Beam's job server, which takes a graph from the launcher and runs it on an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from processes import java, wait_for

from pipeline.llm.server import free_port


@contextlib.contextmanager
def start(name: str, arguments: list[str], folder: Path) -> Iterator[list[str]]:
    """The flags with which the launcher finds it; arguments: the engine's driver, and what it is given."""
    port = free_port()
    own = ["--job-host=127.0.0.1", f"--job-port={port}", f"--artifact-port={free_port()}", "--expansion-port=0"]
    with java(name, [*arguments, *own, f"--artifacts-dir={folder}/artifacts"], folder / "job-server.log"):
        wait_for(port)
        yield ["--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{port}"]
