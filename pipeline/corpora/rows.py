"""Reads Parquet in a child process (`storage/parquet.py`).

It counts the rows of the row groups, and reads one group row by row.
"""

from __future__ import annotations

import atexit
import functools
import marshal
import os
import queue
from collections.abc import Iterator
from typing import Any

from pipeline.corpora.fields import BadRecord, Record
from pipeline.storage.bucket import is_remote
from pipeline.storage.child import Child, Lost, without_keys
from pipeline.storage.files import open_bytes

MOST_ROWS = 1_000
"""A file may have this many rows more than it has bytes; more rows than that can only be hostile."""
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}


def counts(path: str) -> list[int]:
    """The number of rows of each row group.

    Raises BadRecord for a file that is not Parquet, or that has few bytes and very many rows.
    """
    [(reply, _)] = _ask(path, None, ())
    found: list[int] = reply["counts"]
    if min(found, default=0) < 0 or sum(found) > MOST_ROWS + reply["size"]:
        raise BadRecord("unreadable", f"{sum(found):,} rows in {reply['size']:,} bytes")
    return found


def read(path: str, group: int, columns: tuple[str, ...] = ()) -> Iterator[Record | BadRecord]:
    """Every row of a row group as a dict of these columns (none: all), or a BadRecord that says what is wrong with it.

    Damage ends the group with one `unreadable`, or with `too_long` if it would take too much memory. Values have JSON's
    types, or are bytes.
    """
    try:
        for head, data in _ask(path, group, columns):
            at = 0
            for size in head["rows"]:
                row = marshal.loads(data[at : at + size])
                yield BadRecord(*row) if isinstance(row, tuple) else row
                at += size
    except BadRecord as damage:
        yield damage


def _ask(path: str, group: int | None, columns: tuple[str, ...]) -> Iterator[tuple[Any, bytes]]:
    """The frames of an answer.

    Raises BadRecord if the file is the reason that there is no answer, and OSError if it does not exist.
    """
    open_bytes(path).close()
    idle = _idle(os.getpid(), is_remote(path))
    try:
        child = idle.get_nowait()
    except queue.Empty:
        settings = without_keys() if is_remote(path) else {}  # from which clients of stores take theirs
        child = Child("pipeline.storage.parquet", _QUIET | settings)
    try:
        child.send({"path": path if is_remote(path) else os.path.abspath(path), "group": group, "columns": columns})
        frame = child.receive()
        while "last" not in frame[0]:
            yield frame
            frame = child.receive()
    except Lost as lost:
        child.end()
        raise BadRecord("unreadable", lost.detail) from None
    except BaseException:  # also if the caller stops early
        child.end()
        raise
    idle.put(child)
    yield frame
    if frame[0]["last"]:
        raise BadRecord(*frame[0]["last"])


@functools.lru_cache(maxsize=2)
def _idle(process: int, remote: bool) -> queue.LifoQueue[Child]:
    """The idle children; those for object stores have credentials.

    `process`, a process id, makes a forked worker start its own instead of using its parent's.
    """
    children: queue.LifoQueue[Child] = queue.LifoQueue()

    def end() -> None:
        while not children.empty():
            children.get_nowait().end()

    atexit.register(end)
    return children
