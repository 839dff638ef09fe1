"""The progress line on the terminal: how many documents are done, how fast, and about how long the rest will take.

Each worker counts in memory and regularly writes its counts to its own file; the launcher adds up the files. This works
for worker processes on this machine; distributed runners show Beam metrics instead.
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
from collections.abc import Iterator, Mapping, Sequence

from pipeline.every import every
from pipeline.storage.bucket import is_remote
from pipeline.storage.files import write_bytes
from schemas.stage_names import ASSEMBLE, READ, stage_title

EVERY = 0.5
"""Seconds between two writes of a worker's counts."""

ON_A_TERMINAL, IN_A_LOG = 5.0, 30.0
"""Seconds between two lines."""

MINUTE = 60.0
"""The period in seconds over which speed is measured."""

STANDS = 10.0
"""The seconds without a document that is done after which no speed and no time left is shown."""

IDENTIFY = "Identify"


class Counter:
    """The counts of a worker process: by stage, the documents that are done and those that have entered (`came`).

    Each process has one counter (see `counter`).
    """

    def __init__(self, folder: str):
        self.path = f"{folder}/{os.getpid()}.json"
        self.counts: collections.Counter[str] = collections.Counter()
        self.lock = threading.Lock()
        self.written = 0.0
        self.later: threading.Timer | None = None

    def tick(self, name: str) -> None:
        """Count a document that is done at a stage."""
        with self.lock:
            self.counts[name] += 1
            if is_remote(self.path) or self.later:
                return
            if time.monotonic() - self.written > EVERY:
                self._write()
            else:
                self.later = threading.Timer(EVERY, self.flush)
                self.later.daemon = True
                self.later.start()

    def came(self, name: str) -> None:
        """Count a document that has entered a stage and waits there."""
        self.tick(_came(name))

    def flush(self) -> None:
        """Write the counts to the file."""
        with self.lock:
            if self.later:
                self.later.cancel()
                self.later = None
            self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # a full disk is reported by what writes results
            write_bytes(self.path, json.dumps(self.counts).encode())
        self.written = time.monotonic()


def _came(name: str) -> str:
    return f"came to {name}"


_counters: dict[str, Counter] = {}


def counter(folder: str) -> Counter:
    """This process's counter for the run whose counts are in `folder`."""
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
def shown(folder: str, stages: Sequence[str], seconds: float | None = None) -> Iterator[None]:
    """While the block runs, print a line on stderr every `seconds` seconds (default: 5 on a terminal, 30 in a log).

    `stages` are the titles of the stages, in their order.
    """
    if is_remote(folder):
        yield
        return
    seconds = seconds or (ON_A_TERMINAL if sys.stderr.isatty() else IN_A_LOG)
    started, moved = time.monotonic(), 0.0
    seen: collections.deque[tuple[float, Mapping[str, int]]] = collections.deque([(0.0, {})])

    def say() -> None:
        nonlocal moved
        elapsed, counts = time.monotonic() - started, total(folder)
        while len(seen) > 1 and seen[1][0] < elapsed - MINUTE:
            seen.popleft()
        then, before = seen[0]
        if counts != seen[-1][1]:
            moved = elapsed
        seen.append((elapsed, counts))
        stands = elapsed - moved > STANDS  # then the speed of the last minute tells nothing of the next
        speeds = (
            {}
            if stands
            else {name: (counts[name] - before.get(name, 0)) / max(elapsed - then, 1e-9) for name in counts}
        )
        print(f"  {_clock(elapsed)}  {line(counts, speeds, stages)}", file=sys.stderr, flush=True)

    def say_in_between() -> None:
        with contextlib.suppress(OSError, ValueError):  # a file that is being replaced at this moment
            say()

    try:
        with every(seconds, say_in_between, "progress"):
            yield
    finally:
        if own := _counters.pop(folder, None):
            own.flush()
        say()


def line(counts: Mapping[str, int], speeds: Mapping[str, float], stages: Sequence[str]) -> str:
    """The progress line: documents done and entered, with documents per second for the slowest stage.

    >>> line({"Identify": 51, "Read": 51, "came to Rate text": 41, "Rate text": 12, "Assemble": 5},
    ...      {"Read": 0.0, "Rate text": 0.7}, ["Read", "Rate text", "Assemble"])
    'read 51 of 51 · Rate text 12 of 41, 0.7/s, about 0:41 left · kept 5'
    """
    read, documents = counts.get(stage_title(READ), 0), counts.get(IDENTIFY, 0)
    if not read:
        return f"{documents:,} documents found" if documents else "starting"
    waiting = {name: came for name in stages if (came := counts.get(_came(name), 0)) > counts.get(name, 0)}
    # While documents are read, their number says how far it is; after that, the stage that will be busy longest.
    left = {name: _left(came - counts.get(name, 0), speeds.get(name, 0.0)) for name, came in waiting.items()}
    slowest = max(left, key=left.__getitem__, default="")
    speed = speeds.get(stage_title(READ), 0.0)
    parts = [
        f"read {read:,} of {max(read, documents):,}" + (_pace(speed, documents - read) if read < documents else "")
    ]
    for name, came in waiting.items():
        done = counts.get(name, 0)
        pace = _pace(speeds.get(name, 0.0), came - done) if name == slowest and read >= documents else ""
        parts.append(f"{name} {done:,} of {came:,}{pace}")
    if kept := counts.get(stage_title(ASSEMBLE), 0):
        parts.append(f"kept {kept:,}")
    return " · ".join(parts)


def _left(documents: int, speed: float) -> float:
    return documents / speed if speed else float("inf")


def _pace(speed: float, documents: int) -> str:
    return f", {speed:.2g}/s, about {_clock(_left(documents, speed))} left" if speed else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
