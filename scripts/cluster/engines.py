"""The engines that the graph is run on: what each needs, and the flags of a run on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/cluster"
SET_UP = 600
"""Seconds for what an engine is made of to arrive."""
PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"


class Missing(Exception):
    """What an engine needs and this machine has not; the message says it."""


@contextlib.contextmanager
def local(folder: Path) -> Iterator[list[str]]:
    """Beam's local runner, two worker processes."""
    yield ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@contextlib.contextmanager
def prism(folder: Path) -> Iterator[list[str]]:
    """Beam's Prism, built from its Go module."""
    binary = BUILD / "prism"
    if not binary.exists():
        _call("go", ["install", PRISM], {"GOBIN": str(BUILD)})
    yield ["--runner=PrismRunner", f"--prism_location={binary}"]


ENGINES: dict[str, Callable[[Path], contextlib.AbstractContextManager[list[str]]]] = {
    "local": local,
    "prism": prism,
}


def _call(program: str, arguments: list[str], more: dict[str, str]) -> None:
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed")
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [program, *arguments], env={**os.environ, **more}, capture_output=True, text=True, timeout=SET_UP
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{program} took longer than {SET_UP} s") from None
    if done.returncode:
        raise Missing(f"{program} {arguments[0]} failed: {(done.stderr or done.stdout)[-500:]}")
