"""Local folders, listed: one that cannot be listed is an error here, and not an empty one as for `glob` and `os.walk`."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator

_ABSENT = (FileNotFoundError, NotADirectoryError)


def globbed(pattern: str) -> Iterator[str]:
    """The paths that match a glob, in no order; some may come twice.

    `**` is any number of folders. It follows no links, and as `*` it leaves out names that begin with a dot. Raises
    OSError for a folder that cannot be listed.
    """
    yield from _below("/" if pattern.startswith("/") else "", [part for part in pattern.split("/") if part])


def tree(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`. Raises OSError for a folder that cannot be listed."""

    def refuse(error: OSError) -> None:
        raise error

    return os.walk(folder, onerror=refuse)


def _below(folder: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        yield folder
        return
    first, *rest = parts
    try:
        if first == "**":
            for path, folders, files in tree(folder or "."):
                folders[:] = _shown(folders)
                path = path if folder else path.removeprefix(".").removeprefix("/")
                yield from _below(path, rest) if rest else (os.path.join(path, name) for name in _shown(files))
        elif glob.has_magic(first):
            names = os.listdir(folder or ".")
            for name in fnmatch.filter(names if first.startswith(".") else _shown(names), first):
                yield from _below(os.path.join(folder, name), rest)
        else:
            path = os.path.join(folder, first)
            if not rest:
                os.stat(path)
            yield from _below(path, rest)
    except _ABSENT:
        return


def _shown(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]
