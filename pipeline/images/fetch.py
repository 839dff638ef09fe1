"""Fetch one picture over http(s), politely and within bounds.

Only public addresses are asked: each host is resolved here, and the connection goes to the very address that was
checked, so neither a redirect nor a name that resolves anew reaches a machine inside. Connections are kept open and
reused within a process. Name resolution has the time limit of the system's resolver, everything else that of `Http`.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}
_DIRECTIVES = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}  # take a value
_RETRIED = {429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_BACKOFF = 0.5  # seconds before the first retry; doubled for each one after it


@dataclasses.dataclass(frozen=True)
class Http:
    """How to fetch.

    Times are in seconds; `deadline` bounds everything that one image takes, redirects and retries included.
    `allow_private_hosts` permits addresses that are not public, for a mirror inside one's own network and for tests.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    deadline: float = 30.0
    max_redirects: int = 3
    retries: int = 2
    allow_private_hosts: bool = False
    user_agent: str = "LeafInstruct (dataset pipeline; honours X-Robots-Tag)"

    @property
    def decisive(self) -> tuple[int, bool, str]:
        """What decides the answers that last. Times and retries do not: they end in faults that pass."""
        return self.max_redirects, self.allow_private_hosts, self.user_agent


class FetchFault(Exception):
    """An image that cannot be fetched.

    kind: timeout, unreachable, http_status, refused_host, opted_out or too_many_bytes. detail says more. transient:
    whether another attempt may succeed.
    """

    def __init__(self, kind: str, detail: str, transient: bool = False):
        super().__init__(kind, detail, transient)
        self.kind, self.detail, self.transient = kind, detail, transient


def fetch(url: str, max_bytes: int, http: Http = Http()) -> bytes:
    """The body behind the URL. Raises FetchFault; transient ones only after `http.retries` more tries."""
    end = _clock.end = time.monotonic() + http.deadline
    attempt = 0
    while True:
        try:
            return _follow(_parsed(url), max_bytes, http)
        except FetchFault as fault:
            pause = _BACKOFF * 2**attempt
            if not fault.transient or attempt == http.retries or time.monotonic() + pause >= end:
                raise
            time.sleep(pause)
            attempt += 1


def is_public(address: str) -> bool:
    """May a stranger's URL lead to this IP address? IPv4 inside IPv6 (mapped, 6to4, NAT64) is judged as IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        inside = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inside or ip
    return ip.is_global and not ip.is_multicast


def _follow(url: httpx.URL, max_bytes: int, http: Http) -> bytes:
    for _ in range(http.max_redirects + 1):
        try:
            body, target = _ask(url, max_bytes, http)
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise FetchFault("timeout", f"{_host(url)}: {type(error).__name__}", transient=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise FetchFault("unreachable", f"{_host(url)}: {error}", transient=True) from error
        if target is None:
            return body
        url = _parsed(target, url)
    raise FetchFault("http_status", f"more than {http.max_redirects} redirects")


def _ask(url: httpx.URL, max_bytes: int, http: Http) -> tuple[bytes, str | None]:
    """The body, or where it went."""
    limits = {
        "connect": http.connect_timeout,
        "read": http.read_timeout,
        "write": http.read_timeout,
        "pool": http.deadline,
    }
    headers: dict[str | bytes, str | bytes] = {
        "Host": url.netloc,
        "User-Agent": http.user_agent,
        "Accept": "image/*",
        "Accept-Encoding": "identity",
    }
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    pool = _pool(http.allow_private_hosts, os.getpid())
    with pool.stream("GET", target, headers=headers, extensions={"timeout": limits}) as response:
        found = httpx.Headers(response.headers)
        if response.status in _REDIRECTS and "location" in found:
            return b"", found["location"]
        if response.status != 200:
            raise FetchFault("http_status", str(response.status), transient=response.status in _RETRIED)
        if _opted_out(found):
            raise FetchFault("opted_out", _host(url))
        if int(found.get("content-length", 0)) > max_bytes:
            raise FetchFault("too_many_bytes", f"{found['content-length']} of at most {max_bytes}")
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > max_bytes:
                raise FetchFault("too_many_bytes", f"more than {max_bytes}")
        return bytes(body), None


def _opted_out(headers: httpx.Headers) -> bool:
    """Does a directive for everyone (not one addressed to a named robot) say no?"""
    if headers.get("tdm-reservation", "").strip() == "1":
        return True
    for line in headers.get_list("x-robots-tag"):
        words = [word.strip().lower() for word in line.split(",")]
        robot, colon, _ = words[0].partition(":")
        if OPT_OUT & set(words) and not (colon and robot not in _DIRECTIVES):
            return True
    return False


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        found = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchFault("refused_host", f"no valid address: {error}"[:200]) from error
    if found.scheme not in ("http", "https") or not found.raw_host:
        raise FetchFault("refused_host", f"not http(s): {found.scheme}://{_host(found)}"[:200])
    if not 0 <= (found.port or 0) < 1 << 16:
        raise FetchFault("refused_host", f"no valid port: {found.port}"[:200])
    return found


def _host(url: httpx.URL) -> str:
    """As it is asked for. `url.host` translates xn-- names back, and raises for those that it cannot."""
    return url.raw_host.decode("ascii")


class _Clock(threading.local):
    """The moment at which this thread's fetch must be over.

    The streams below check it, since a server that sends one byte now and then never reaches a read timeout.
    """

    end = float("inf")

    def left(self, timeout: float | None) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(timeout, left)


class _Backend(httpcore.SyncBackend):
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
        if not self.allow_private_hosts and not all(map(is_public, addresses)):
            raise FetchFault("refused_host", f"{host} is {addresses[0]}, not a public address")
        for address in addresses:
            try:
                stream = super().connect_tcp(address, port, _clock.left(timeout), local_address, socket_options)
                return _Stream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A stream that keeps the clock."""

    def __init__(self, stream: httpcore.NetworkStream):
        self.stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, _clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, _clock.left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.stream.start_tls(ssl_context, server_hostname, _clock.left(timeout)))

    def close(self) -> None:
        self.stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


@functools.lru_cache(maxsize=4)
def _pool(allow_private_hosts: bool, process: int) -> httpcore.ConnectionPool:
    """One a process: `process` keeps a forked worker from writing into its parent's connections."""
    return httpcore.ConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=64,
        max_keepalive_connections=32,
        keepalive_expiry=15.0,
        network_backend=_Backend(allow_private_hosts),
    )


_clock = _Clock()
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
