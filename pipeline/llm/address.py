"""The address of an OpenAI-compatible server: for requests, and for messages."""

from __future__ import annotations

import urllib.parse

from schemas.errors import UserError


def base_url(url: str) -> str:
    """The base address for `/chat/completions`; `/v1` is added if there is no path.

    Raises UserError if it is not an http(s) address, or has a part that may be a secret.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0  # `port` raises ValueError
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise UserError(f"{shown(url)!r} is not an http(s) address, such as http://127.0.0.1:8000/v1.")
    if parts.username is not None or parts.query or parts.fragment:
        raise UserError(
            f"the address {shown(url)} must be without a user name, a password and a query, because it goes to an engine "
            "with the job, which keeps it: give the key in LEAFINSTRUCT_LLM_KEY or llm.key_file instead."
        )
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"


def several(urls: str) -> tuple[str, ...]:
    """The addresses of several servers, which are separated by commas.

    >>> several("http://127.0.0.1:8000/v1, http://127.0.0.1:8001/v1")
    ('http://127.0.0.1:8000/v1', 'http://127.0.0.1:8001/v1')
    """
    return tuple(url.strip(" ") for url in urls.split(",") if url.strip())


def shown(url: str) -> str:
    """The address for messages: without user name and password, and without a query, which may contain a key."""
    before, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{before}{mark}{place.rpartition('@')[2]}{slash}{path}".partition("?")[0] if mark else url.partition("?")[0]


def headers(api_key: str | None) -> dict[str, str]:
    """The headers of every request; no compression, so that the length of a response is what was received."""
    return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
