"""For all tests: each of the workers that run side by side (`-n`) computes on its share of the cores, and the modules
that take long begin first."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pipeline.storage import tars

# Before torch is imported; programs that tests start inherit it.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(share))

SLOW = (
    "pipeline/llm/test_real_servers.py",
    "moss/test_train.py",
    "moss/test_two_processes.py",
    "pipeline/launch/test_build.py",
    "pipeline/launch/test_signals.py",
    "models/test_language.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not str(item.path).endswith(SLOW))


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A test leaves signals as they were: what is ignored here is ignored by every program that is started later."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.fixture(autouse=True)
def indexes_of_tars(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process knows the work folder of one run, and a test process those of many."""
    monkeypatch.setattr(tars, "_kept", None)
