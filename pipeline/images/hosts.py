"""Limits requests to each host: how many at once and how often, and what the host's rules allow.

The limits hold for one process; several workers share nothing.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from pipeline.images.faults import FetchFault
from pipeline.images.reservations import Rules

FRESH, FAILED = 24 * 3600.0, 600.0
"""The seconds for which rules are remembered (RFC 9309: at most a day), and for which the lack of an answer is."""
_MOST, _BYTES = 10_000, 4 << 20  # hosts, and bytes of rules, that are remembered; parsed, rules take 50 times that


@dataclasses.dataclass
class Host:
    """What is known about one host; times are those of time.monotonic()."""

    slots: threading.Semaphore
    loading: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    rules: Rules | FetchFault | None = None
    expires: float = 0.0
    next_start: float = 0.0
    paused_until: float = 0.0
    users: int = 0


class Hosts:
    """The hosts of a process, with at most `per_host` requests at once to each.

    `load` gets the rules of an origin, or raises FetchFault.
    """

    def __init__(self, per_host: int, load: Callable[[str], Rules]):
        self._per_host, self._load = per_host, load
        self._lock = threading.Lock()
        self._known: collections.OrderedDict[str, Host] = collections.OrderedDict()
        self._bytes = 0

    def rules(self, origin: str) -> Rules:
        """The rules of `https://host:port`, asked for once.

        Raises FetchFault; a failure is remembered for some minutes.
        """
        with self._host(origin) as host, host.loading:
            if host.rules is None or time.monotonic() >= host.expires:
                before = _size(host)
                try:
                    host.rules = self._load(origin)
                except FetchFault as fault:
                    host.rules = fault
                host.expires = time.monotonic() + (FAILED if isinstance(host.rules, FetchFault) else FRESH)
                with self._lock:
                    self._bytes += _size(host) - before
            if isinstance(host.rules, FetchFault):
                raise FetchFault(host.rules.kind, host.rules.detail)
            return host.rules

    @contextlib.contextmanager
    def turn(self, origin: str, delay: float, patience: float) -> Iterator[float]:
        """Wait until the host may be asked, and occupy one of its slots while the block runs.

        Gives the seconds that the host itself asked to wait: the rest is waiting for others. `delay`: the seconds between
        the starts of two requests. Raises FetchFault if the host asked for a pause that ends later than `patience`
        seconds from now.
        """
        with self._host(origin) as host, host.slots:
            with self._lock:
                now = time.monotonic()
                paused = host.paused_until - now
                if paused > patience:
                    raise FetchFault("too_many_requests", f"asked to wait {paused:.0f} s longer")
                start = max(now, host.next_start, host.paused_until)
                host.next_start = start + delay
            time.sleep(start - now)
            yield max(delay, paused)

    def pause(self, origin: str, seconds: float) -> None:
        """Make no request to the host for `seconds` (at most a day), as it asked."""
        with self._host(origin) as host, self._lock:
            host.paused_until = max(host.paused_until, time.monotonic() + min(seconds, FRESH))

    @contextlib.contextmanager
    def _host(self, origin: str) -> Iterator[Host]:
        with self._lock:
            host = self._known.pop(origin, None) or Host(threading.Semaphore(self._per_host))
            self._known[origin] = host  # the last one
            host.users += 1
        try:
            yield host
        finally:
            with self._lock:
                host.users -= 1
                self._forget()

    def _forget(self) -> None:
        """Forget the host that has been unused for longest."""
        for origin in list(self._known) if len(self._known) > _MOST or self._bytes > _BYTES else ():
            if len(self._known) <= _MOST and self._bytes <= _BYTES:
                return
            if not self._known[origin].users:
                self._bytes -= _size(self._known.pop(origin))


def _size(host: Host) -> int:
    return host.rules.size if isinstance(host.rules, Rules) else 0
