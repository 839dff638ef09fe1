"""Stores many values in one immutable file, a pack: a bucket bills each object, and millions of files are slow anywhere.

A pack is named `<time in nanoseconds>-<random>-<CRC-32 of its index>-<bytes of its index>-<bytes>.pack`, and has its
index (JSON: key -> offset and size of the value) and then the values, each with a CRC-32 of key and value behind it. What
is written stays in memory until there are ROOM bytes of it, EVERY seconds (SOON on a disk) have passed, the bundle ends
or the process ends. Readers of the same process see it at once, other processes after it has been flushed. Of a key that
was written more than once, the newest pack's value counts. What a damaged pack held counts as never written.

Each process that reads a store lists it once, and reads the index of each pack; it holds 28 bytes of each key
(`places.py`) and about 200 of each pack. It lists a bucket again, for new packs, when a stage starts anew in it
(`outdated`): perhaps because the job goes on here after another worker was lost, which has left results. On a disk it
looks whether there are new packs whenever it lacks a key.
"""

from __future__ import annotations

import atexit
import collections
import concurrent.futures
import contextlib
import functools
import json
import logging
import os
import re
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Iterator

from pipeline.storage.bucket import CONNECTIONS, is_remote
from pipeline.storage.files import directly_in, get, resolved, write_bytes
from pipeline.storage.places import Places
from pipeline.storage.recent import Recent
from schemas.errors import ServiceError, UserError

ROOM = 32 << 20
"""The most bytes that wait in memory for their pack."""
EVERY = 30.0
"""The seconds after which waiting values go into a bucket: the most work that is lost when a process is killed."""
SOON = 5.0
"""The same for a disk, where writing costs nothing."""
REST = 20
"""A process spends at most one part in so many of its time on looking for what others have put on a disk."""
WHOLE = 1 << 20
"""Packs of up to so many bytes are got from a bucket completely, and kept; of larger ones, each value by its range."""
SETTLED = 2 * 10**9
"""The nanoseconds after which a folder's time cannot stand for two changes: NFS and others count in whole seconds."""
TOGETHER = 8 << 20
"""The bytes of indexes that are in memory at once, about; decoded, they take several times as much."""
_NAME = re.compile(r".*/(?P<time>\d{20})-[0-9a-f]{32}-(?P<crc>[0-9a-f]{8})-(?P<head>\d+)-(?P<size>\d+)\.pack", re.S)
_CRC = 4  # bytes
_DAMAGED = "%s is damaged; what it held is made again"
_recent = Recent(64 << 20)
_log = logging.getLogger(__name__)


class Packs:
    """The store below `root`, as this process sees it. Threads may share it."""

    def __init__(self, root: str):
        self.root, self._every = root, EVERY if is_remote(root) else SOON
        self._lock = threading.RLock()
        self._places = Places()
        self._known: set[str] = set()  # the packs that are in the table
        self._newest = 0  # the time in the name of the newest
        self._looked = False
        self._changed, self._rested = 0, 0.0  # when the folder on the disk had last changed; when to look again
        self._waiting: dict[str, bytes] = {}
        self._size = 0
        self._timer: threading.Timer | None = None
        self.failed = False  # whether the last flush has failed

    def read(self, key: str) -> bytes | None:
        """The bytes of the key; None if it was never written, or in a bucket since this process first looked there."""
        with self._lock:
            if key in self._waiting:
                return self._waiting[key]
            if not self._looked:
                self._load()
            place = self._places.get(key)
            if place is None and self._has_changed():
                self._load()
                place = self._places.get(key)
        return None if place is None else _value(key, *place)

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
            if self._size >= ROOM or self.failed:
                self.flush()
            elif self._timer is None:
                timer = threading.Timer(self._every, self._flush_in_time)
                timer.daemon = True
                timer.start()
                self._timer = timer

    def outdated(self) -> None:
        """Look for what others have written at the next `read`."""
        self._looked = False

    def _flush_in_time(self) -> None:
        with self._lock:
            self._timer = None
            try:
                self.flush()
            except (ServiceError, UserError, OSError) as error:
                # The values wait on; the next write, or the end of the bundle, tries again and raises.
                _log.warning("%s", error)

    def flush(self) -> None:
        """Write the waiting values. Raises ServiceError, and OSError for a disk."""
        with self._lock:
            self._stop_timer()
            if not self._waiting:
                return
            places, at = {}, 0
            for key, data in self._waiting.items():
                places[key] = (at, len(data))
                at += len(data) + _CRC
            head = json.dumps(places, separators=(",", ":")).encode()
            # newer than what was there, also where that is from a machine whose clock is ahead
            now = max(time.time_ns(), self._newest + 1)
            numbers = f"{zlib.crc32(head):08x}-{len(head)}-{len(head) + at}"
            pack = f"{self.root}/{now:020d}-{uuid.uuid4().hex}-{numbers}.pack"
            whole = b"".join([head, *(part for key, data in self._waiting.items() for part in (data, _crc(key, data)))])
            try:
                write_bytes(pack, whole, lasting=True)
            except Exception:  # not where the process is being stopped: what is kept at its end shall try again
                self.failed = True
                raise
            self._add(pack, places)
            if _kept_whole(pack, len(whole)):
                _recent.put(pack, whole)
            self._waiting, self._size, self.failed = {}, 0, False

    def drop(self) -> None:
        """Write nothing of what waits."""
        with self._lock:
            self._stop_timer()
            self._waiting, self._size = {}, 0

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _load(self) -> None:
        """Read the indexes of the packs that are new, several at once: a large run leaves a hundred thousand."""
        began = time.monotonic()
        self._has_changed()
        self._looked = True  # before the listing: whoever finds this outdated meanwhile is right
        try:
            listed = [pack for pack in directly_in(self.root) if pack not in self._known]
            new = collections.deque(match for pack in listed if (match := _NAME.fullmatch(pack)))  # the oldest first
            if not new:
                return
            room = _recent.room // 2
            with concurrent.futures.ThreadPoolExecutor(min(CONNECTIONS, len(new))) as pool:
                while new:
                    some = [new.popleft()]
                    while new and len(some) < CONNECTIONS and sum(int(name["head"]) for name in some) < TOGETHER:
                        some.append(new.popleft())
                    whole = [room > 0 and _kept_whole(name[0], int(name["size"])) for name in some]
                    room -= sum(int(name["size"]) for name, one in zip(some, whole, strict=True) if one)
                    for name, places in zip(some, pool.map(_index, some, whole), strict=True):
                        self._add(name[0], places)
        except BaseException:
            self._looked = False
            raise
        finally:
            now = time.monotonic()
            self._rested = now + REST * (now - began)

    def _has_changed(self) -> bool:
        """Whether there may be new packs on the disk since this was last asked; False for a bucket."""
        if is_remote(self.root) or time.monotonic() < self._rested:
            return False
        before, settled = self._changed, True
        with contextlib.suppress(FileNotFoundError):
            changed = os.stat(self.root).st_mtime_ns
            settled = time.time_ns() - changed > SETTLED
            self._changed = changed if settled else 0
        return self._changed != before or not settled

    def _add(self, pack: str, places: dict[str, tuple[int, int]]) -> None:
        name = _NAME.fullmatch(pack)
        assert name
        if int(name["time"]) < self._newest:  # found late: what is already known may be newer
            places = {key: at for key, at in places.items() if not (known := self._places.get(key)) or known[0] < pack}
        self._places.add(pack, places, int(name["head"]))
        self._known.add(pack)
        self._newest = max(self._newest, int(name["time"]))


def _crc(key: str, data: bytes) -> bytes:
    return zlib.crc32(data, zlib.crc32(key.encode())).to_bytes(_CRC, "big")


def _value(key: str, pack: str, at: int, size: int) -> bytes | None:
    """The bytes of a key, which are at this place; None if they are damaged, or deleted."""
    whole, end = _recent.get(pack), at + size + _CRC
    try:
        if whole is None and _kept_whole(pack, int(pack.rsplit("-", 1)[1].removesuffix(".pack"))):
            whole = get(pack)
            _recent.put(pack, whole)
        found = get(pack, at, end) if whole is None else whole[at:end]
    except FileNotFoundError:  # somebody has deleted it since
        return None
    data = found[:size]
    if found[size:] != _crc(key, data):
        _log.warning(_DAMAGED, pack)
        return None
    return data


def _kept_whole(pack: str, size: int) -> bool:
    return size <= WHOLE and is_remote(pack)


def _index(name: re.Match[str], whole: bool) -> dict[str, tuple[int, int]]:
    """The index of a pack, an empty one of a damaged pack; `whole`: get it completely, and keep it."""
    pack, head = name[0], int(name["head"])
    try:
        data = get(pack, 0, None if whole else head)
        cut = not is_remote(pack) and os.path.getsize(pack) != int(name["size"])
    except FileNotFoundError:  # somebody has deleted it since it was listed
        return {}
    if cut or zlib.crc32(data[:head]) != int(name["crc"], 16):
        _log.warning(_DAMAGED, pack)
        return {}
    if whole:
        _recent.put(pack, data)
    return dict(json.loads(data[:head]))


def of(root: str) -> Packs:
    """The store below `root`, a URL or a path without links; each process has one."""
    stores = _all(os.getpid())
    return stores.get(root) or stores.setdefault(root, Packs(root))


def flush() -> None:
    """Write the waiting values of all stores of this process, before other processes are told about them."""
    for store in list(_all(os.getpid()).values()):
        store.flush()


def outdated() -> None:
    """Let all stores of this process look for what other processes have written, at their next read."""
    for store in list(_all(os.getpid()).values()):
        store.outdated()


def forget(folder: str) -> None:
    """Forget what is known about stores in a folder that is about to be deleted."""
    folder = resolved(folder)
    stores = _all(os.getpid())
    for root in [root for root in stores if f"{root}/".startswith(f"{folder}/")]:
        stores.pop(root).drop()


@contextlib.contextmanager
def temporary() -> Iterator[str]:
    """A folder for stores that goes with the block, with what they have not written yet."""
    with tempfile.TemporaryDirectory(prefix="leafinstruct-") as folder:
        try:
            yield folder
        finally:
            forget(folder)


@functools.lru_cache(maxsize=1)
def _all(process: int) -> dict[str, Packs]:
    atexit.register(_flush_at_exit)
    return {}


def _flush_at_exit() -> None:
    for store in [store for store in _all(os.getpid()).values() if not store.failed]:  # of a failure was told already
        try:
            store.flush()
        except (ServiceError, UserError, OSError) as error:
            _log.warning("%s", error)
