"""Connections to untrusted servers: only to checked addresses, with time limits, kept open and reused.

Each host is resolved here, and the connection goes to the very address that was checked, so neither a redirect nor a
name that resolves differently the second time reaches an internal machine. Name resolution has the time limit of the
system's resolver, everything else that of `Clock`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from pipeline.images.addresses import is_public
from pipeline.images.faults import FetchFault


class Clock(threading.local):
    """The moment at which this thread's fetch must be over.

    The streams below check it, since a server that sends one byte now and then never reaches a read timeout.
    """

    end = float("inf")

    def start(self, seconds: float) -> None:
        """Limit this thread's fetch to `seconds` from now."""
        self.end = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """The seconds that are left, at most `timeout`. Raises httpcore.ReadTimeout if none are left."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(timeout, left)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Stop the clock while the block runs."""
        end, started = self.end, time.monotonic()
        try:
            yield
        finally:
            self.end = end + time.monotonic() - started


clock = Clock()


class Backend(httpcore.SyncBackend):
    """Connects to checked addresses only."""

    def __init__(self, allow_private_hosts: bool):
        self.allow_private_hosts = allow_private_hosts

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"cannot resolve: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        failure: Exception = httpcore.ConnectError("the name has no address")
        if not self.allow_private_hosts and not all(map(is_public, addresses)):
            raise FetchFault("refused_host", f"{host} is {addresses[0]}, not a public address")
        for address in addresses:
            try:
                stream = super().connect_tcp(address, port, clock.left(timeout), local_address, socket_options)
                return Stream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class Stream(httpcore.NetworkStream):
    """A stream whose operations check the clock."""

    def __init__(self, stream: httpcore.NetworkStream):
        self.stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, clock.left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return Stream(self.stream.start_tls(ssl_context, server_hostname, clock.left(timeout)))

    def close(self) -> None:
        self.stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


@functools.lru_cache(maxsize=4)
def pool(allow_private_hosts: bool, process: int) -> httpcore.ConnectionPool:
    """The connections of this process; `process`, its id, keeps a forked worker from using its parent's connections."""
    made = httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=None,  # every thread its own: waiting for one would count as the slowness of a server
        max_keepalive_connections=32,
        keepalive_expiry=15.0,
        network_backend=Backend(allow_private_hosts),
    )
    atexit.register(made.close)
    return made
