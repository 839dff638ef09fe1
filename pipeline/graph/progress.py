"""A line on the terminal that says how far the run is.

Workers count in memory and now and then write their counts to a file of their own; the launcher adds the files up.
That works for one process and for several on a machine; a service runner has its own counters (Beam metrics).
"""

from __future__ import annotations

import collections
import contextlib
import glob
import json
import os
import sys
import threading
import time
from collections.abc import Iterator

from pipeline.storage.store import is_remote, write_bytes

EVERY = 0.5
"""Seconds between two writes of a worker's counts."""


class Counter:
    """A worker's counts, by stage. One a process (see `counter`)."""

    def __init__(self, folder: str):
        self.path = f"{folder}/{os.getpid()}.json"
        self.counts: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()
        self.written = 0.0

    def tick(self, name: str) -> None:
        with self.lock:
            self.counts[name] += 1
            if time.monotonic() - self.written > EVERY and not is_remote(self.path):
                self.flush()

    def flush(self) -> None:
        write_bytes(self.path, json.dumps(self.counts).encode())
        self.written = time.monotonic()


_counters: dict[str, Counter] = {}


def counter(folder: str) -> Counter:
    """This process's counter for the run that works in `folder`."""
    if folder not in _counters or not _counters[folder].path.endswith(f"/{os.getpid()}.json"):
        _counters[folder] = Counter(folder)
    return _counters[folder]


def total(folder: str) -> collections.Counter[str]:
    """The sum over all workers."""
    counts: collections.Counter[str] = collections.Counter()
    for path in glob.glob(f"{glob.escape(folder)}/*.json"):
        with open(path, "rb") as file:
            counts.update(json.load(file))
    return counts


@contextlib.contextmanager
def shown(folder: str, names: tuple[str, ...], seconds: float = 5.0) -> Iterator[None]:
    """While the block runs, print the sum on stderr every so many seconds."""
    if is_remote(folder):
        yield
        return
    started, stop = time.monotonic(), threading.Event()

    def line() -> str:
        counts = total(folder)
        elapsed = int(time.monotonic() - started)
        steps = " · ".join(f"{name} {counts[name]:,}" for name in names if counts[name])
        return f"  {elapsed // 60}:{elapsed % 60:02d}  {steps or 'starting'}"

    def loop() -> None:
        before = ""
        while not stop.wait(seconds):
            now = line()
            if now.split("  ", 2)[-1] != before:
                print(now, file=sys.stderr, flush=True)
            before = now.split("  ", 2)[-1]
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if own := _counters.pop(folder, None):
            own.flush()
        print(line(), file=sys.stderr, flush=True)
