"""Git checkouts: which repository and commit a folder is, read from `.git` without running git."""

from __future__ import annotations

import functools
import re
from urllib.parse import quote

from pipeline.storage.uris import read_bytes

_GITHUB = re.compile(r"^\s*url\s*=\s*\S*github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?\s*$", re.M)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def web_address(root: str, path: str) -> str:
    """The address of a file of the checkout at `root` on GitHub, at the commit that is checked out; else empty."""
    repository, commit = origin(root)
    return f"https://github.com/{repository}/blob/{commit}/{quote(path)}" if repository and commit else ""


@functools.lru_cache(maxsize=64)
def origin(root: str) -> tuple[str, str]:
    """(OWNER/NAME on GitHub, commit) of a checkout; each empty where it cannot be found out."""
    head = _text(f"{root}/.git/HEAD").strip()
    if head.startswith("ref: "):
        branch = head.removeprefix("ref: ")
        head = _text(f"{root}/.git/{branch}").strip()
        if not head and (
            packed := re.search(rf"^([0-9a-f]{{40}}) {re.escape(branch)}$", _text(f"{root}/.git/packed-refs"), re.M)
        ):
            head = packed[1]
    found = _GITHUB.search(_text(f"{root}/.git/config"))
    return found[1] if found else "", head if _COMMIT.fullmatch(head) else ""


def _text(path: str) -> str:
    try:
        return read_bytes(path, 1 << 20).decode(errors="replace")
    except (OSError, ValueError):
        return ""
