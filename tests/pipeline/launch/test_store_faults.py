"""Every operation on the folders of a run is made to fail in turn, once or from then on: what is published is whole or
absent, and a second run completes it to the same bytes.

`make test` breaks some of the operations on a disk; `make faults` breaks each of them, also in object stores.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.memory import HashScorer
from pipeline.coherence import scorer
from pipeline.images import store as images
from pipeline.launch import lease
from pipeline.launch.build import build
from pipeline.storage import bucket, packs, remote
from pipeline.storage.folder import opened
from pipeline.storage.removal import remove
from schemas.defects import Defect
from schemas.errors import BugError, ServiceError, UserError
from schemas.validate import examine
from tests.answers import server
from tests.pipeline.runs import ALL_FAULTS, COHERENCE, demo_config
from tests.pipeline.storage import emulators

pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")
SOME = 2
"""Operations that `make test` breaks, in each of the two ways."""
PARTS = 10 if ALL_FAULTS else 1
"""Tests among which `make faults` divides the operations, so that several processes share them."""
ON_DISK = (
    (builtins, "open"),
    *((os, name) for name in ("replace", "rename", "makedirs", "listdir", "scandir", "unlink")),
)
ON_BUCKETS = ("read", "read_version", "size", "write", "replace", "list", "described", "copy", "delete")


class Breaker:
    """Counts operations, and breaks number `at`, or all from there on."""

    def __init__(self) -> None:
        self.count, self.at, self.for_good = 0, -1, False
        self.broken: list[str] = []

    def breaks(self, what: str) -> bool:
        self.count += 1
        hit = self.at >= 0 and (self.count - 1 >= self.at if self.for_good else self.count - 1 == self.at)
        if hit:
            self.broken.append(what)
        return hit

    @contextlib.contextmanager
    def set(self, at: int, for_good: bool) -> Iterator[None]:
        self.count, self.at, self.for_good, self.broken = 0, at, for_good, []
        try:
            yield
        finally:
            self.at = -1


@pytest.fixture(scope="module", params=["disk", *(emulators.KINDS if ALL_FAULTS else ())])
def place(request, tmp_path_factory) -> Iterator[tuple[str, Breaker]]:
    """Where runs write, and what breaks their operations there."""
    breaker = Breaker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorer, "Scorer", HashScorer)
        # The stores of several processes have the same names, and a run deletes the groups of earlier ones of its store.
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("groups")))
        if request.param == "disk":
            root = str(tmp_path_factory.mktemp("disk"))
            for module, name in ON_DISK:
                patch.setattr(module, name, _on_disk(getattr(module, name), name, root, breaker))
            yield root, breaker
            return
        with emulators.emulator(request.param) as environment:
            for name, value in environment.items():
                patch.setenv(name, value)
            emulators.forget_clients()
            kind = type(bucket.split(f"{request.param}://bucket/a")[0])
            patch.setattr(lease, "LIFE", 0.0)  # the next run comes when the lease of one that was stopped has ended
            patch.setattr(lease, "SKEW", 0.0)
            for name in ON_BUCKETS:
                patch.setattr(kind, name, _on_bucket(getattr(kind, name), name, breaker))
            yield f"{request.param}://bucket", breaker
            emulators.forget_clients()


def _on_disk(function, name: str, root: str, breaker: Breaker):
    def counted(path=".", *arguments, **options):
        if isinstance(path, str | os.PathLike) and str(path).startswith(root) and breaker.breaks(f"{name} {path}"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return function(path, *arguments, **options)

    return counted


def _on_bucket(method, name: str, breaker: Breaker):
    def counted(self, key, *arguments, **options):
        if breaker.breaks(f"{name} {key}"):
            raise bucket.fault(f"bucket/{key}", OSError("503 Service Unavailable"), 503)
        return method(self, key, *arguments, **options)

    return counted


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> str:
    return demo_config(tmp_path_factory.mktemp("config"), limit=3)


def run(config: str, folder: str) -> None:
    """As a process of its own would: it knows nothing of the runs before."""
    images._recent._found.clear()
    packs._recent._found.clear()
    packs._all.cache_clear()
    with server() as llm:
        build(config, f"{folder}/out", llm_url=llm.url, work=f"{folder}/work")


def manifest(folder: str) -> bytes | None:
    path = f"{folder}/out/manifest.json"
    if not bucket.is_remote(path):
        return Path(path).read_bytes() if Path(path).exists() else None
    return remote.get(path) if remote.exists(path) else None


def defects(folder: str) -> list[Defect]:
    return list(examine(opened(f"{folder}/out")).defects)


@pytest.fixture(scope="module")
def whole(place, config) -> tuple[bytes, int]:
    """The manifest of an undisturbed run, and the number of its operations."""
    root, breaker = place
    with breaker.set(-1, False):
        run(config, f"{root}/whole")
        count = breaker.count
    found = manifest(f"{root}/whole")
    assert found and b'"instances"' in found and defects(f"{root}/whole") == []
    return found, count


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_a_run_whose_store_fails_publishes_nothing_or_everything(place, whole, config, for_good, part):
    root, breaker = place
    expected, count = whole
    wrong = []
    some = [count * (2 * i + 1) // (2 * SOME) for i in range(SOME)]
    for at in range(part, count, PARTS) if ALL_FAULTS else some:
        folder = f"{root}/{'good' if for_good else 'once'}-{at}"
        stopped = ""
        with breaker.set(at, for_good):
            try:
                run(config, folder)
            except (ServiceError, UserError, BugError) as error:
                stopped = f"{type(error).__name__}: {error}"
            broken = breaker.broken[:1]
        found = manifest(folder)
        published_whole = found == expected and defects(folder) == []
        if stopped.startswith("BugError") or not (published_whole or (stopped and found is None)):
            wrong.append((at, broken, stopped, found == expected))
        run(config, folder)
        if manifest(folder) != expected or defects(folder):
            wrong.append((at, broken, stopped, "after the second run"))
        remove(folder)  # the emulators become slow with what is in them
    assert not wrong
