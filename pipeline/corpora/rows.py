"""Parquet: count the rows of the row groups, and read one group row by row. A child process does it: see `storage/parquet.py`."""

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
from pipeline.storage.child import Child, Lost
from pipeline.storage.store import open_bytes

MOST_ROWS = 1_000
"""Rows of a file beyond one for each of its bytes: more than that would be made of nothing."""
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}


def counts(path: str) -> list[int]:
    """The number of rows of each row group. Raises BadRecord for a file that is no Parquet, or one of few bytes and very
    many rows."""
    [(reply, _)] = _ask(path, None, ())
    found: list[int] = reply["counts"]
    if min(found, default=0) < 0 or sum(found) > MOST_ROWS + reply["size"]:
        raise BadRecord("unreadable", f"{sum(found):,} rows in {reply['size']:,} bytes")
    return found


def read(path: str, group: int, columns: tuple[str, ...] = ()) -> Iterator[Record | BadRecord]:
    """Every row of a row group as a dict of these columns (none: all), or what is wrong with it. Damage ends the group
    with one `unreadable`, or `too_long` where it would take too much memory. Values are those of JSON, and bytes."""
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
    """The frames of an answer. Raises BadRecord where the file is to blame for the lack of one, and OSError where it is
    not there."""
    open_bytes(path).close()
    idle = _idle(os.getpid())
    try:
        child = idle.get_nowait()
    except queue.Empty:
        child = Child("pipeline.storage.parquet", _QUIET | _credentials())
    try:
        child.send({"path": path if is_remote(path) else os.path.abspath(path), "group": group, "columns": columns})
        frame = child.receive()
        while "last" not in frame[0]:
            yield frame
            frame = child.receive()
    except Lost as lost:
        child.end()
        raise BadRecord("unreadable", lost.detail) from None
    except BaseException:  # also where nobody wants the rest
        child.end()
        raise
    idle.put(child)
    yield frame
    if frame[0]["last"]:
        raise BadRecord(*frame[0]["last"])


def _credentials() -> dict[str, str]:
    """The environment, which object stores are opened with, but for what is ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LEAFINSTRUCT_")}


@functools.lru_cache(maxsize=1)
def _idle(process: int) -> queue.LifoQueue[Child]:
    """The children that rest. `process` keeps a forked worker from talking to its parent's."""
    children: queue.LifoQueue[Child] = queue.LifoQueue()

    def end() -> None:
        while not children.empty():
            children.get_nowait().end()

    atexit.register(end)
    return children
