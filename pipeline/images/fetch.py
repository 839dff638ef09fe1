"""Fetches one image over http(s), politely and within limits.

Only public addresses are asked (`connections.py`), of hosts that do not refuse (`reservations.py`, `opt_outs.py`), with
a limited rate for each host (`hosts.py`). All of this is checked again for every redirect.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import re
import time
from collections.abc import Callable
from typing import TypeVar

import httpcore
import httpx

from pipeline import encodings, opt_outs
from pipeline.images import reservations
from pipeline.images.allowance import allowance
from pipeline.images.connections import clock, pool
from pipeline.images.faults import FetchFault
from pipeline.images.hosts import Hosts
from pipeline.images.reservations import AGENT, Rules
from schemas import retry_after
from schemas.errors import one_line, unquoted

_log = logging.getLogger(__name__)
T = TypeVar("T")
_REDIRECTS = {301, 302, 303, 307, 308}
_RULE_REDIRECTS = 5  # RFC 9309 asks for five at least
_DRAINED = 16 << 10  # bytes
_LEGIBLE = re.compile(rb"\A\s*\[|^\s{0,9}(?:user-agent|disallow|allow)\s{0,9}:", re.I | re.M)  # rules in plain text
_BACKOFF = 0.5  # seconds before the first retry; doubled for each one after it


def agent(contact: str = "") -> str:
    """The User-Agent header. `contact` is an address (mail or page) at which people reach whoever runs the pipeline.

    >>> agent("https://example.org/crawl")
    'LeafInstruct (dataset pipeline; honours robots.txt and X-Robots-Tag; contact: https://example.org/crawl)'
    """
    return f"{AGENT} (dataset pipeline; honours robots.txt and X-Robots-Tag; contact: {contact or 'none given'})"


@dataclasses.dataclass(frozen=True)
class Http:
    """How to fetch.

    Times are in seconds. `deadline` bounds all of one image, redirects and retries included, but not waiting for a
    host's turn. `allow_private_hosts` permits addresses that are not public, for a mirror in your own network and for
    tests. `opt_outs` is the opt-out list's file. `per_host` requests go to one host at once, and `delay` seconds pass
    between the beginnings of two. `without_rules`: whether images are fetched from a host that fails to send its
    robots.txt or tdmrep.json (RFC 9309: no).
    """

    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    deadline: float = 30.0
    max_redirects: int = 3
    retries: int = 2
    allow_private_hosts: bool = False
    user_agent: str = agent()
    opt_outs: str | None = None
    per_host: int = 4
    delay: float = 0.0
    without_rules: bool = False

    @property
    def decisive(self) -> tuple[int, bool]:
        """The settings that decide lasting results, for cache keys. Times, retries and rates do not.

        The agent decides faults alone: what was fetched stays good if the contact changes (`ImageStore`).
        """
        return self.max_redirects, self.allow_private_hosts


def fetch(url: str, max_bytes: int, http: Http = Http()) -> bytes:
    """The body at the URL. Raises FetchFault, for temporary faults only after `http.retries` more attempts."""

    def ask(url: httpx.URL) -> bytes | str:
        rules = _permitted(url, http)
        delay = max(http.delay, rules.delay)
        return _in_turn(url, http, delay, lambda: _ask(url, max_bytes, http))

    return _tries(http, lambda: _follow(_parsed(url), http.max_redirects, ask))


def refuse_listed(url: str, http: Http) -> None:
    """Raise FetchFault if the address is in the opt-out list."""
    if url in opt_outs.load(http.opt_outs):
        raise FetchFault("opt_out_list", f"{url[:200]} is in {http.opt_outs}")


def _tries(http: Http, ask: Callable[[], T]) -> T:
    clock.start(http.deadline)
    attempt = 0
    while True:
        try:
            return ask()
        except FetchFault as fault:
            pause = max(_BACKOFF * 2**attempt, fault.wait)
            if not fault.again or attempt == http.retries or pause >= clock.end - time.monotonic():
                raise
            time.sleep(pause)
            allowance.charge(pause)
            attempt += 1


def _follow(url: httpx.URL, redirects: int, ask: Callable[[httpx.URL], bytes | str]) -> bytes:
    """The body at the end of the redirects; `ask` returns a body, or the address of a redirect as text."""
    for _ in range(redirects + 1):
        try:
            found = ask(url)
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise FetchFault("timeout", f"{_host(url)}: {type(error).__name__}", again=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise FetchFault("unreachable", f"{_host(url)}: {one_line(unquoted(error), 200)}", again=True) from error
        if isinstance(found, bytes):
            return found
        url = _parsed(found, url)
    raise FetchFault("too_many_redirects", f"more than {redirects}")


def _in_turn(url: httpx.URL, http: Http, delay: float, ask: Callable[[], T]) -> T:
    """The result of `ask`, called when it is the host's turn."""
    hosts, came = _hosts(http, os.getpid()), time.monotonic()
    with hosts.turn(_origin(url), delay, http.deadline) as pause:
        started = time.monotonic()
        clock.end += started - came
        try:
            return ask()
        except FetchFault as fault:
            if fault.wait:
                hosts.pause(_origin(url), fault.wait)
            raise
        finally:
            allowance.charge(pause + time.monotonic() - started)


def _permitted(url: httpx.URL, http: Http) -> Rules:
    """The host's rules for us. Raises FetchFault if they, or the opt-out list, forbid the address."""
    refuse_listed(str(url), http)
    try:
        with clock.apart():
            rules = _hosts(http, os.getpid()).rules(_origin(url))
    except FetchFault as fault:
        if not http.without_rules or fault.kind == "refused_host":
            raise
        return Rules()
    if rules.disallow(str(url)):
        raise FetchFault("robots", f"{_host(url)} disallows the address to {AGENT}")
    if rules.delay > http.deadline:
        raise FetchFault("robots", f"{_host(url)} asks for {rules.delay:.0f} s between two requests")
    if rules.reserve(url.raw_path.decode("ascii")):
        raise FetchFault("opted_out", f"{_host(url)}: tdmrep.json")
    return rules


def _load_rules(origin: str, http: Http) -> Rules:
    """The host's robots.txt and TDMRep's file. Raises FetchFault if they cannot be fetched, or read."""
    found = []
    for path, size in (("/robots.txt", reservations.MAX_ROBOTS), ("/.well-known/tdmrep.json", reservations.MAX_TDM)):

        def ask(url: httpx.URL, size: int = size) -> bytes | str:
            return _in_turn(url, http, 0.0, lambda: _ask(url, size, http, rules=True))

        def follow(path: str = path, ask: Callable[[httpx.URL], bytes | str] = ask) -> bytes:
            return _follow(_parsed(origin + path), _RULE_REDIRECTS, ask)

        try:
            found.append(_tries(http, follow))
        except FetchFault as fault:
            if fault.kind in ("refused_host", "unreachable", "rules_unreachable"):  # the first two: as the image would
                raise
            if fault.kind in ("timeout", "too_many_requests", "server_error"):
                raise FetchFault("rules_unreachable", f"{path}: {fault.kind}, {fault.detail}") from fault
            found.append(b"")  # there is none: all is allowed
    try:
        return reservations.rules(*found)
    except Exception as error:  # the parser is not ours, and reads what any host sends
        _log.exception("the parser of robots.txt")
        raise FetchFault("rules_unreachable", f"they cannot be read: {type(error).__name__}") from error


def _ask(url: httpx.URL, max_bytes: int, http: Http, rules: bool = False) -> bytes | str:
    """The body, or the address of a redirect.

    rules: whether this is a file of rules; then at most `max_bytes` are read, and opt-out headers do not count.
    """
    limits = {
        "connect": http.connect_timeout,
        "read": http.read_timeout,
        "write": http.read_timeout,
        "pool": http.deadline,
    }
    headers: dict[str | bytes, str | bytes] = {
        "Host": url.netloc,
        "User-Agent": http.user_agent,
        "Accept": "text/plain, application/json" if rules else "image/*",
        "Accept-Encoding": "identity",
    }
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    connections = pool(http.allow_private_hosts, os.getpid())
    with connections.stream("GET", target, headers=headers, extensions={"timeout": limits}) as response:
        found = httpx.Headers(response.headers)
        if response.status != 200:
            _drain(response, int(found.get("content-length", _DRAINED + 1)))
        if response.status in _REDIRECTS and "location" in found:
            return found["location"]
        if response.status != 200:
            raise _refusal(response.status, found)
        if not rules and reservations.opted_out(found.get_list("x-robots-tag"), found.get("tdm-reservation", "")):
            raise FetchFault("opted_out", f"{_host(url)}: header")
        if not rules and int(found.get("content-length", 0)) > max_bytes:
            raise FetchFault("too_many_bytes", f"{found['content-length']} of at most {max_bytes}")
        sent = bytearray()
        for chunk in response.iter_stream():
            sent += chunk
            if len(sent) > max_bytes:
                if rules:
                    break
                raise FetchFault("too_many_bytes", f"more than {max_bytes}")
    body = _plain(bytes(sent), found, max_bytes, rules)
    if len(body) > max_bytes and not rules:
        raise FetchFault("too_many_bytes", f"more than {max_bytes}")
    return body[:max_bytes]


def _plain(body: bytes, headers: httpx.Headers, most: int, rules: bool) -> bytes:
    """The body, without an encoding that was not asked for: stores of static files send what was uploaded compressed so.

    Of a longer one, the first `most` bytes and one. Raises FetchFault for rules that cannot be read, which may forbid.
    """
    names = headers.get_list("content-encoding", split_commas=True)
    try:
        return encodings.plain(body, names, most + 1) if names else body
    except ValueError as error:
        if rules and not _LEGIBLE.search(body):
            raise FetchFault("rules_unreachable", f"the encoding {one_line(','.join(names), 80)}: {error}") from None
        return body  # perhaps none was applied: hosts send utf-8 and aws-chunked as names of encodings


def _drain(response: httpcore.Response, size: int) -> None:
    """Read a short body that nobody wants, so that the connection can be used again."""
    with contextlib.suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        if size <= _DRAINED:
            response.read()


def _refusal(status: int, headers: httpx.Headers) -> FetchFault:
    wait = retry_after.seconds(headers.get("retry-after", ""))
    if status == 429:
        return FetchFault("too_many_requests", "429", again=True, wait=wait)
    if status >= 500:
        return FetchFault("server_error", str(status), again=True, wait=wait)
    return FetchFault("not_found" if status in (404, 410) else "http_status", str(status))


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        found = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchFault("refused_host", f"no valid address: {one_line(unquoted(error), 150)}") from None
    if found.scheme not in ("http", "https") or not found.raw_host:
        raise FetchFault("refused_host", f"not http(s): {found.scheme}://{_host(found)}"[:200])
    if found.userinfo:  # a password would get into logs, the ledger and to other hosts
        raise FetchFault("refused_host", "the address holds a user's name or password")
    if not 0 <= (found.port or 0) < 1 << 16:
        raise FetchFault("refused_host", f"no valid port: {found.port}"[:200])
    return found


def _host(url: httpx.URL) -> str:
    """The host's name as it is requested. `url.host` decodes xn-- names, and raises for some."""
    return url.raw_host.decode("ascii")


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


@functools.lru_cache(maxsize=4)
def _hosts(http: Http, process: int) -> Hosts:
    """The hosts of this process for these settings.

    `process`, its id, keeps a forked worker from waiting for its parent's threads.
    """
    return Hosts(http.per_host, functools.partial(_load_rules, http=http))
