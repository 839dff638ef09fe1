"""Finds the repository and commit of a git checkout from its `.git` folder, without running git."""

from __future__ import annotations

import functools
import re
from urllib.parse import quote

from pipeline.storage.uris import read_bytes

_GITHUB = re.compile(r"^[ \t]*url[ \t]*=[ \t]*\S*github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?[ \t\r]*$", re.M)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def web_address(root: str, path: str) -> str:
    """The address of a file of the checkout at `root` on GitHub, at the commit that is checked out; else empty."""
    repository, commit = origin(root)
    return f"https://github.com/{repository}/blob/{commit}/{quote(path)}" if repository and commit else ""


@functools.lru_cache(maxsize=64)
def origin(root: str) -> tuple[str, str]:
    """The (OWNER/NAME on GitHub, commit) of a checkout; each is empty if it cannot be found."""
    head = _text(root, "HEAD").strip()
    if head.startswith("ref: "):
        branch = head.removeprefix("ref: ")
        head = _text(root, branch).strip()
        if not head and (
            packed := re.search(rf"^([0-9a-f]{{40}}) {re.escape(branch)}$", _text(root, "packed-refs"), re.M)
        ):
            head = packed[1]
    found = _GITHUB.search(_text(root, "config"))
    return found[1] if found else "", head if _COMMIT.fullmatch(head) else ""


def _text(root: str, name: str) -> str:
    """The text of a file in `.git`.

    The name of a branch comes from such a file, and must not lead out of the folder.
    """
    folders = () if root.endswith("!") else (f"{root}/.git",)
    try:
        return read_bytes(f"{root}/.git/{name}", 1 << 20, folders).decode(errors="replace")
    except (OSError, ValueError):
        return ""
