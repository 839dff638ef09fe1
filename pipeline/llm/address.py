"""The address of an OpenAI-compatible server: what is asked, what is shown to people, and with which key."""

from __future__ import annotations

import urllib.parse

from schemas.errors import UserError


def base_url(url: str) -> str:
    """The address that `/chat/completions` is added to: `/v1` is understood where there is no path. Raises UserError
    where it is no http(s) address."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0     # `port` raises ValueError
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise UserError(f"{shown(url)!r} is not an http(s) address, such as http://127.0.0.1:8000/v1.")
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"


def shown(url: str) -> str:
    """The address for messages: without a user's name and password, and without a query, which may hold a key."""
    before, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{before}{mark}{place.rpartition('@')[2]}{slash}{path}".partition("?")[0] if mark else url.partition("?")[0]


def headers(api_key: str | None) -> dict[str, str]:
    """What goes with every request. Nothing is asked for in compressed form, so a reply's length is its length."""
    return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
