"""Stores many results and images in one immutable object of a bucket, a segment, because a bucket bills each object.

A segment is named `<random>-<bytes of its index>-<bytes>.seg`, and has its index (JSON: key -> offset and size of the
data) and then the data. What is written stays in memory until there are ROOM bytes of it, EVERY seconds have passed or
the bundle ends. Readers of the same process see it at once, other processes after it has been flushed. All writers of a
key write the same value.

Each process that reads a store lists it once, and reads the index of each segment; of each key it holds 28 bytes
(`places.py`). It lists it again, for new segments, when a stage starts anew in it (`outdated`): perhaps because the job
goes on here after another worker was lost, which has left results.
"""

from __future__ import annotations

import concurrent.futures
import functools
import json
import logging
import os
import re
import threading
import uuid

from pipeline.storage import remote
from pipeline.storage.bucket import CONNECTIONS
from pipeline.storage.places import Places
from pipeline.storage.recent import Recent
from schemas.errors import ServiceError, UserError

ROOM = 32 << 20
"""The most bytes that wait in memory for their segment."""
EVERY = 30.0
"""The seconds after which waiting data are written: the most work that is lost when a process is killed."""
WHOLE = 1 << 20
"""Segments of up to so many bytes are read completely and kept; in a larger one, each key is read by its range."""
TOGETHER = 8 << 20
"""The bytes of indexes that are in memory at once, about; decoded, they take several times as much."""
_NAME = re.compile(r".*/[0-9a-f]{32}-(\d+)-(\d+)\.seg")
_recent = Recent(64 << 20)
_log = logging.getLogger(__name__)


class Segments:
    """The store below `root`, as this process sees it. Threads may share it."""

    def __init__(self, root: str):
        self.root = root
        self._lock = threading.RLock()
        self._places = Places()
        self._known: set[str] = set()  # the segments that are in the index
        self._looked = False
        self._waiting: dict[str, bytes] = {}
        self._size = 0
        self._timer: threading.Timer | None = None

    def read(self, key: str) -> bytes | None:
        """The bytes of the key; None if it was written neither by this process nor before this process first looked."""
        with self._lock:
            if key in self._waiting:
                return self._waiting[key]
            if not self._looked:
                self._load()
            place = self._places.get(key)
        return None if place is None else self._data(*place)

    def find(self, key: str) -> bytes | None:
        """As `read`, but also looks for what other processes have written since."""
        data = self.read(key)
        if data is None:
            with self._lock:
                self._load()
            data = self.read(key)
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keep the bytes of a key."""
        with self._lock:
            self._size += len(data) - len(self._waiting.get(key, b""))
            self._waiting[key] = data
            if self._size >= ROOM:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(EVERY, self._flush_in_time)
                self._timer.daemon = True
                self._timer.start()

    def outdated(self) -> None:
        """Look for what others have written at the next `read`."""
        self._looked = False

    def _flush_in_time(self) -> None:
        with self._lock:
            self._timer = None
            try:
                self.flush()
            except (ServiceError, UserError, OSError) as error:
                _log.warning("%s", error)  # the data wait on, and the end of the bundle raises it

    def flush(self) -> None:
        """Write the waiting data. Raises ServiceError."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
                self._timer = None
            if not self._waiting:
                return
            places, at = {}, 0
            for key, data in self._waiting.items():
                places[key] = (at, len(data))
                at += len(data)
            head = json.dumps(places, separators=(",", ":")).encode()
            segment = f"{self.root}/{uuid.uuid4().hex}-{len(head)}-{len(head) + at}.seg"
            whole = b"".join([head, *self._waiting.values()])
            with remote.writing(segment) as file:
                file.write(whole)
            self._add(segment, len(head), places)
            if len(whole) <= WHOLE:
                _recent.put(segment, whole)
            self._waiting, self._size = {}, 0

    def _load(self) -> None:
        """Read the indexes of the segments that are new, several at once: a large run leaves a hundred thousand."""
        listed = [segment for segment in remote.directly_in(self.root) if segment not in self._known]
        new = [match for segment in listed if (match := _NAME.fullmatch(segment))]
        if new:
            with concurrent.futures.ThreadPoolExecutor(min(CONNECTIONS, len(new))) as pool:
                while new:
                    some = [new.pop()]
                    while new and len(some) < CONNECTIONS and sum(int(name[1]) for name in some) < TOGETHER:
                        some.append(new.pop())
                    for (segment, head), places in pool.map(_index, some):
                        self._add(segment, head, places)
        self._looked = True

    def _add(self, segment: str, head: int, places: dict[str, tuple[int, int]]) -> None:
        self._places.add(segment, places, head)
        self._known.add(segment)

    def _data(self, segment: str, at: int, size: int) -> bytes | None:
        whole = _recent.get(segment)
        if whole is None and int(segment.rsplit("-", 1)[1].removesuffix(".seg")) <= WHOLE:
            whole = remote.get(segment)
            _recent.put(segment, whole)
        return remote.get(segment, at, at + size) if whole is None else whole[at : at + size]


def _index(name: re.Match[str]) -> tuple[tuple[str, int], dict[str, tuple[int, int]]]:
    """A segment with the bytes of its index, and the index."""
    segment, head, size = name[0], int(name[1]), int(name[2])
    data = remote.get(segment, 0, head if size > WHOLE else None)
    if size <= WHOLE:
        _recent.put(segment, data)
    return (segment, head), json.loads(data[:head])


def of(root: str) -> Segments:
    """The store below `root`; each process has one."""
    return _all(os.getpid()).setdefault(root, Segments(root))


def flush() -> None:
    """Write the waiting data of all stores of this process, before other processes are told about them."""
    for store in list(_all(os.getpid()).values()):
        store.flush()


def outdated() -> None:
    """Let all stores of this process look for what other processes have written, at their next read."""
    for store in list(_all(os.getpid()).values()):
        store.outdated()


def forget(folder: str) -> None:
    """Forget what is known about stores below a folder that is about to be deleted."""
    stores = _all(os.getpid())
    for root in [root for root in stores if f"{root}/".startswith(f"{folder.rstrip('/')}/")]:
        del stores[root]


@functools.lru_cache(maxsize=1)
def _all(process: int) -> dict[str, Segments]:
    return {}
