"""The process in which a pickle is read: `python -m pipeline.storage.pickles`, started and fed by `corpora/comm.py`.

A few bytes of a pickle can take hours (the hash of tuples within tuples) or all memory, or stand for any number of
values, since it may refer to what it has said. Here the kernel limits memory and time, nothing but plain values is
made, and a record that would be too large for the other side is a fault.
"""

from __future__ import annotations

import io
import marshal
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

from pipeline.storage import child

MAX_CHARACTERS, MAX_VALUES = 32 << 20, 1_000_000
"""The limits of a record, about those of a line of JSON (`corpora/lines.py`). What it refers to counts each time."""
MAX_RATIO, LEAST = 5, 8 << 20
"""All records may take 5 times the file's size, and 8 MiB more; those of CoMM's form take 0.9 times."""
_REFUSED = "no list of plain values as torch.save writes it"
_PRELUDE = 3  # pickles before that of the object in a file that is no zip: a number, a version, sizes of integers


class _Refused(Exception):
    """Its message says why, and quotes nothing."""


class _Plain(pickle.Unpickler):
    """Makes strings, numbers, lists, dicts and the like, and calls nothing."""

    def find_class(self, module: str, name: str) -> Any:
        raise _Refused("it holds objects")

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("it holds tensors")


def answer(request: Any, data: bytes, reply: Callable[..., None]) -> None:
    """Send the records of the list in a pickle, a frame for each: it, or (kind, detail) of a fault, marshalled.

    The last frame is marked as such, and has the kind and detail of what is wrong with the file, if anything is.
    """
    last, left = None, LEAST + MAX_RATIO * len(data)
    try:
        with child.limits(request["memory"], request["seconds"]):
            records = _list(data)
            del data
            for number, record in enumerate(records):
                records[number] = None  # the other side is about to have it
                row = _row(record)
                left -= len(row)
                if left < 0:
                    raise _Refused(f"its records take more than {MAX_RATIO} times its size")
                reply({}, row)
    except MemoryError:
        last = ("too_long", f"it takes more than {request['memory']:,} bytes of memory to read")
    except _Refused as refused:
        last = ("unreadable", f"{_REFUSED}: {refused}")
    reply({"last": last})


def _list(data: bytes) -> list[Any]:
    """The list in a file. Raises _Refused if there is none."""
    try:
        found = _loaded(data)
    except (_Refused, MemoryError):
        raise
    except Exception as error:
        raise _Refused(type(error).__name__) from error
    if not isinstance(found, list):
        raise _Refused(f"the file holds a {type(found).__name__}, not a list of records")
    return found


def _loaded(data: bytes) -> Any:
    file = io.BytesIO(data)
    if not data.startswith(b"PK"):
        for _ in range(_PRELUDE):
            _Plain(file).load()
        return _Plain(file, encoding="utf-8").load()
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise _Refused("it is compressed")  # PyTorch's own writer compresses nothing
        [name] = [member.filename for member in members if member.filename.endswith("/data.pkl")]
        with archive.open(name) as pickled:
            return _Plain(pickled, encoding="utf-8").load()


def _row(record: Any) -> bytes:
    try:
        if not isinstance(record, dict):
            return marshal.dumps(("not_an_object", f"a {type(record).__name__}"))
        if not _is_small(record):
            return marshal.dumps(("too_long", f"more than {MAX_VALUES:,} values or {MAX_CHARACTERS:,} characters"))
        return marshal.dumps(record)
    except ValueError:
        return marshal.dumps(("bad_record", "values within values, too deep"))


def _is_small(record: Any) -> bool:
    """Whether a record is within the limits, if what it refers to several times counts as often."""
    values, characters, waiting = 1, 0, [record]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str | bytes | bytearray):
            characters += len(value)
        elif isinstance(value, dict | list | tuple | set | frozenset):
            values += len(value) * (1 + isinstance(value, dict))
            if values > MAX_VALUES:
                return False
            waiting += value
            waiting += value.values() if isinstance(value, dict) else ()
    return characters <= MAX_CHARACTERS


if __name__ == "__main__":
    child.serve(answer)
