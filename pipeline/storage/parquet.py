"""The process in which Parquet is decoded: `python -m pipeline.storage.parquet`, started and fed by `corpora/rows.py`.

A few bytes of Parquet can stand for billions of values, and Arrow trusts the header of a page. Here the kernel limits
memory and time, and a row that would be too large for the other side is a fault.
"""

from __future__ import annotations

import errno
import marshal
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow
import pyarrow.parquet

from pipeline.storage import child
from pipeline.storage.files import open_bytes
from schemas.errors import one_line, unquoted

MEMORY = 2_000_000_000
"""The memory limit in bytes for reading one row group; Arrow keeps a decompressed page of each column."""
SECONDS, BYTES_A_SECOND = 30, 1_000_000
"""The limit of processor time for reading one row group: 30 s, and 1 s for each megabyte of the file."""
MAX_BYTES, MAX_VALUES = 32 << 20, 1_000_000
"""The limits of a row: the same as for a line of JSON (`corpora/lines.py`)."""
DAMAGE = (pyarrow.ArrowException, OSError)  # pyarrow raises either for broken bytes
_AWAY = (errno.ENOENT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN)  # not because of the bytes
_BAD_VALUE = (pyarrow.ArrowException, ValueError, ArithmeticError, LookupError)  # dates out of range, unknown zones
_BATCH = 64  # rows decoded at once
_FRAME = 4 << 20  # bytes of rows that are sent at once
_DEPTH = 50  # the deepest nesting of values


class _Bad(Exception):
    """`args` are the kind and the detail of what is wrong with a row."""


def answer(request: Any, _: bytes, reply: Callable[..., None]) -> None:
    """Send the rows of a row group, several in each frame; or the number of rows of each group, if no group is named.

    The last frame is marked as such, and has the kind and detail of the error that ended it early, if any.
    """
    path, waiting = request["path"], list[bytes]()
    try:
        with open_bytes(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            with child.limits(MEMORY, SECONDS + size // BYTES_A_SECOND):
                table = pyarrow.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
                if request["group"] is None:
                    metadata = table.metadata
                    reply(
                        {
                            "counts": [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)],
                            "size": size,
                            "last": None,
                        }
                    )
                    return
                for batch in table.iter_batches(
                    _BATCH, row_groups=[request["group"]], columns=request["columns"] or None, use_threads=False
                ):
                    for some in _bundles(_rows(batch)):
                        if waiting:
                            reply({"rows": [len(row) for row in waiting]}, b"".join(waiting))
                        waiting = some
        last: dict[str, Any] = {"last": None}
    except MemoryError:
        last = {"last": ("too_long", f"it takes more than {MEMORY:,} bytes of memory to read")}
    except (*DAMAGE, *_BAD_VALUE) as error:
        if isinstance(error, OSError) and error.errno in _AWAY:
            raise
        last = {"last": ("unreadable", one_line(unquoted(error)))}
    reply({"rows": [len(row) for row in waiting], **last}, b"".join(waiting))


def _rows(batch: pyarrow.RecordBatch) -> Iterator[bytes]:
    """Each row, marshalled: a dict of plain values, or (kind, detail) of what is wrong with it."""
    try:
        if _is_small(batch):
            yield from [_marshalled(row) for row in batch.to_pylist()]
            return
    except (_Bad, MemoryError, *_BAD_VALUE):
        pass  # of one of its rows
    for i in range(len(batch)):
        row = batch.slice(i, 1)
        try:
            if not _is_small(row):
                raise _too_long()
            yield _marshalled(row.to_pylist()[0])
        except _Bad as error:
            yield marshal.dumps(error.args)
        except UnicodeDecodeError as error:
            yield marshal.dumps(("bad_utf8", f"byte {error.start} of a string"))
        except MemoryError:
            yield marshal.dumps(("too_long", "the row does not fit into memory"))
        except _BAD_VALUE as error:
            yield marshal.dumps(("bad_record", f"a value that Python cannot hold: {type(error).__name__}"))


def _is_small(batch: pyarrow.RecordBatch) -> bool:
    return batch.nbytes <= MAX_BYTES and sum(map(_values, batch.columns)) <= MAX_VALUES


def _marshalled(row: Any) -> bytes:
    try:
        data = marshal.dumps(row)
    except ValueError:  # dates and the like, or too deep
        data = marshal.dumps(_plain(row))
    if len(data) > 2 * MAX_BYTES:  # a dictionary's values, repeated
        raise _too_long()
    return data


def _plain(value: Any, depth: int = 0) -> Any:
    """The value with JSON's types, except for bytes; other types become text.

    Raises _Bad if it is nested too deeply.
    """
    if depth > _DEPTH:
        raise _Bad("bad_record", f"values within values, more than {_DEPTH} deep")
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    return value if value is None or isinstance(value, str | bytes | bool | int | float) else str(value)


def _values(array: pyarrow.Array[Any]) -> int:
    """The number of values in an array, including those in lists and objects."""
    inner: list[pyarrow.Array[Any]] = []
    if isinstance(array, pyarrow.StructArray):
        inner = array.flatten()
    elif pyarrow.types.is_nested(array.type) and (flatten := getattr(array, "flatten", None)):
        inner = [flatten()]
    return len(array) + sum(map(_values, inner))


def _too_long() -> _Bad:
    return _Bad("too_long", f"the row has more than {MAX_VALUES:,} values or {MAX_BYTES:,} bytes")


def _bundles(rows: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The rows in lists of _FRAME bytes or one row, so that neither side holds many large ones."""
    some: list[bytes] = []
    for row in rows:
        some.append(row)
        if sum(map(len, some)) > _FRAME:
            yield some
            some = []
    yield some


if __name__ == "__main__":
    child.serve(answer)
