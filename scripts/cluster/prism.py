"""Beam's Prism, built from its Go module; Beam starts and ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from processes import BUILD, get

MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"


def fetch() -> None:
    if not (BUILD / "prism").exists():
        get("go", ["install", MODULE], GOBIN=str(BUILD))


@contextlib.contextmanager
def start(folder: Path, asked: Callable[[], int]) -> Iterator[list[str]]:
    yield ["--runner=PrismRunner", f"--prism_location={BUILD / 'prism'}"]
