"""A lease on a folder in an object store: one small object, `FOLDER/.lease`, names the run that may use the folder.

A run writes it if there is none, renews it while it goes on, and deletes it at its end. A lease that was not renewed in
time may be taken over. All of these are conditional writes (the object must still be the one that was read), so of several
launchers one succeeds, whatever their clocks say. A launcher that stood still and wakes up finds another lease when it
renews its own, which it does before it begins, before it publishes, and while it does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from pipeline.every import every
from pipeline.storage import remote
from schemas.errors import AGAIN, ServiceError, UserError

LIFE = 120.0
"""Seconds for which a lease holds after it was written."""
EVERY = 30.0
"""Seconds between two renewals."""
SKEW = 30.0
"""Seconds by which two launchers' clocks may differ: a lease is taken over only so long after its end. If they differ
by more, a run may lose its folder while it goes on, and ends without publishing."""
FRESH = 5.0
"""Seconds for which a renewal is believed when the lease is checked. A machine that stood still may wake up with a clock
that stood still, too, so how long the lease should hold says nothing."""
_TRIES = 5  # leases that may come and go while one is being taken

_log = logging.getLogger(__name__)


class Held(UserError):
    """Another run uses the folder; the message says which."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """What a lease says: the run, where its launcher is, and until when it holds (seconds since 1970, UTC).

    `token` is random, and tells launchers of the same run apart.
    """

    run: str
    host: str
    process: int
    token: str
    until: float

    def __str__(self) -> str:
        return f"run {self.run} (process {self.process} on {self.host})"


class Lease:
    """The lease of a run on a folder. Threads may share it. `clock` gives seconds since 1970."""

    def __init__(self, folder: str, run: str, clock: Callable[[], float] = time.time):
        self.folder, self.url = folder, f"{folder}/.lease"
        self._holder = Holder(run, socket.gethostname(), os.getpid(), uuid.uuid4().hex, 0.0)
        self._clock, self._lock = clock, threading.Lock()
        self._until, self._renewed = 0.0, -FRESH
        self._lost = ""

    def take(self) -> None:
        """Take the lease, also one that has ended. Raises Held, ServiceError and UserError."""
        for _ in range(_TRIES):
            mine = self._next()
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # it changed meanwhile: look again
                self._until, self._renewed = self._take(mine).until, time.monotonic()
                return
        raise ServiceError(f"{self.url} changes hands all the time; {AGAIN}")

    def _take(self, mine: Holder) -> Holder:
        try:
            theirs, version = self._read()
        except FileNotFoundError:
            remote.put_if_absent(self.url, _bytes(mine))
            self._test()
            return mine
        if theirs.token == mine.token:  # ours: the reply was lost, and the client wrote again
            return theirs
        if self._clock() < theirs.until + SKEW:
            raise Held(_in_use(self.folder, theirs))
        remote.replace(self.url, _bytes(mine), version)
        return mine

    def renew(self) -> None:
        """Hold the lease for LIFE seconds from now. Raises ServiceError if another run has taken it."""
        with self._lock:
            if self._lost:
                raise ServiceError(self._lost)
            mine = self._holder
            for _ in range(_TRIES):
                try:
                    found, version = self._read()
                except FileNotFoundError:
                    raise self._taken("somebody has deleted it") from None
                if found.token != mine.token:
                    raise self._taken(f"{found} has taken it")
                if found == mine:  # the reply to the last try was lost
                    break
                mine = self._next()  # now: reading may have taken long
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    remote.replace(self.url, _bytes(mine), version)
                    break
            else:
                raise ServiceError(f"{self.url} could not be renewed; {AGAIN}")
            self._until, self._renewed = mine.until, time.monotonic()

    def check(self) -> None:
        """Raise ServiceError if another run has taken the lease; asks the store, if that is not FRESH seconds ago."""
        if self._lost or self._clock() >= self._until or time.monotonic() >= self._renewed + FRESH:
            self.renew()

    def give_back(self) -> None:
        """Delete the lease, if it is this run's. A store that fails leaves it: it ends by itself."""
        with self._lock:
            try:
                found, version = self._read()
                if found.token == self._holder.token:
                    remote.delete_version(self.url, version)
            except (OSError, UserError, ServiceError) as error:
                _log.info("%s stays until it ends: %s", self.url, error)

    @contextlib.contextmanager
    def renewed(self, seconds: float = EVERY) -> Iterator[None]:
        """Renew the lease every so many seconds while the block runs, in a thread."""

        def renew() -> None:
            if self._lost:
                return
            try:
                self.renew()
            except (OSError, UserError, ServiceError) as error:
                _log.warning("%s", error)

        with every(seconds, renew, "lease"):
            yield

    def _next(self) -> Holder:
        return dataclasses.replace(self._holder, until=round(self._clock() + LIFE, 3))

    def _read(self) -> tuple[Holder, str]:
        data, version = remote.read_version(self.url)
        try:
            return Holder(**json.loads(data)), version
        except (ValueError, TypeError):
            raise UserError(
                f"{self.url} is not a lease that this version can read; delete it if no run uses the folder"
            ) from None

    def _test(self) -> None:
        """Warn if the store lets a second writer through."""
        with contextlib.suppress(FileExistsError):
            remote.put_if_absent(self.url, _bytes(self._next()))
            _log.warning("%s is in a store without conditional writes: do not start two runs at once", self.folder)

    def _taken(self, how: str) -> ServiceError:
        self._lost = (
            f"this run has lost its lease on {self.folder}: {how}, after this launcher had not renewed it in time; "
            f"nothing more is published. When no other run uses the folder, {AGAIN}"
        )
        return ServiceError(self._lost)


@contextlib.contextmanager
def leased(folder: str, run: str, seconds: float = EVERY) -> Iterator[Lease]:
    """Hold the lease on a folder until the end of the block. Raises Held, ServiceError and UserError."""
    lease = Lease(folder, run)
    try:
        lease.take()
        with lease.renewed(seconds):
            yield lease
    finally:
        lease.give_back()


def _bytes(holder: Holder) -> bytes:
    return json.dumps(dataclasses.asdict(holder)).encode()


def _in_use(folder: str, holder: Holder) -> str:
    until = datetime.datetime.fromtimestamp(holder.until, datetime.UTC)
    return (
        f"{holder} is using {folder}. Its lease holds until {until:%Y-%m-%d %H:%M:%S} UTC, and is renewed while it goes "
        "on; wait until it ends, or give this one another --output and --work"
    )
