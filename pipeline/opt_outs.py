"""The opt-out list: hosts and addresses whose owners asked to be left out, one per line (`web.opt_outs`)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import urllib.parse

import httpx

from pipeline.storage import uris
from schemas.errors import UserError


class OptOuts:
    """The hosts and addresses of an opt-out list.

    `example.org` is the host and all below it, `https://example.org/photos/` all addresses that begin with it, with
    http and https alike. Blank lines, and what follows a `#` at the beginning of a line or after a space, are ignored.
    """

    def __init__(self, text: str, path: str = "the opt-out list"):
        self.hosts: set[str] = set()
        self.addresses: dict[str, list[str]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            entry = (" " + line).split(" #")[0].strip()
            if not entry:
                continue
            host, rest = _split(entry if "://" in entry else f"http://{entry}")
            if not host or " " in entry:
                raise UserError(
                    f"{path}:{number}: {entry!r} is neither a host nor an address that begins with http(s)://"
                )
            if rest in ("", "/"):
                self.hosts.add(host)
            else:
                self.addresses.setdefault(host, []).append(rest)

    def __contains__(self, url: str) -> bool:
        host, rest = _split(url)
        labels = host.split(".")
        if any(".".join(labels[at:]) in self.hosts for at in range(len(labels))):
            return True
        return any(rest.startswith(begin) for begin in self.addresses.get(host, ()))


@functools.lru_cache(maxsize=4)
def load(path: str | None) -> OptOuts:
    """The list in a file; an empty one if `path` is None. Raises UserError."""
    return OptOuts(_read(path).decode(errors="replace"), path) if path else OptOuts("")


def summary(path: str) -> str:
    """The sha256 of the list. Raises UserError if it cannot be read."""
    load(path)
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: str) -> bytes:
    try:
        return uris.read_bytes(path)
    except OSError as error:
        raise UserError(f"web.opt_outs: {path} cannot be read: {error.strerror or error}") from error


def _split(url: str) -> tuple[str, str]:
    """The (host, path and query) of an address; both are empty if there is no host.

    A host is spelt as it is requested: `müller.de` is `xn--mller-kva.de`. A path is decoded, and without `.` and `..`:
    `/a/../my%20photos/` is `/my photos/`.
    """
    try:
        found = urllib.parse.urlsplit(url)
        host = (found.hostname or "").rstrip(".")
    except ValueError:
        return "", ""
    if not host.isascii():
        with contextlib.suppress(httpx.InvalidURL):  # it cannot be requested
            host = httpx.URL(f"http://{host}").raw_host.decode("ascii").rstrip(".")
    path = found.path.replace("%2e", ".").replace("%2E", ".")
    if "%" in path or "/." in path:
        with contextlib.suppress(httpx.InvalidURL):
            path = httpx.URL(f"http://host{path}").path
    return host, path + (f"?{urllib.parse.unquote(found.query)}" if found.query else "")
