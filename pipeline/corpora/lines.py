"""JSON Lines: cut a file at line starts, and decode lines one by one."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import lzma
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from pipeline.corpora.fields import BadRecord, Record
from pipeline.storage.store import open_bytes

PART_LINES = 200
MAX_LINE = 32 << 20  # bytes; a longer line is a fault, so that one of them cannot fill the memory
_BLOCK = 1 << 20
DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    struct.error,
    LookupError,
    RuntimeError,
    ValueError,
    OverflowError,
)  # these five: zipfile
_BZ2_DAMAGE = "Invalid data stream"  # bz2 has no error of its own: this OSError, word for word


@dataclasses.dataclass(frozen=True)
class Lines:
    """A run of lines of a file: the number of the first (from 1), the byte where it starts, and how many bytes and lines
    there are."""

    first: int
    offset: int
    size: int
    count: int


def members(path: str) -> list[str]:
    """The files in a zip in name order, but for hidden ones (`__MACOSX/._docs.jsonl`). Raises one of DAMAGE."""
    with open_bytes(path) as file, zipfile.ZipFile(file) as archive:
        return _members(archive)


def cut(file: BinaryIO, offset: int = 0, size: int = sys.maxsize) -> Iterator[Lines]:
    """Runs of PART_LINES lines in the next `size` bytes of an open file."""
    file.seek(offset)
    end, at = offset + size, offset
    start, first, count = offset, 1, 0  # the run that is open
    last = b""
    while block := file.read(min(_BLOCK, end - at)):
        position, breaks, last = 0, block.count(b"\n"), block[-1:]
        while count + breaks >= PART_LINES:
            for _ in range(PART_LINES - count):
                position = block.index(b"\n", position) + 1
                breaks -= 1
            yield Lines(first, start, at + position - start, PART_LINES)
            start, first, count = at + position, first + PART_LINES, 0
        count += breaks
        at += len(block)
    if at > start:
        yield Lines(first, start, at - start, count + (last != b"\n"))


def read(path: str, offset: int, size: int | None, member: str = "") -> Iterator[Record | BadRecord | None]:
    """Every line decoded: an object, what is wrong with the line, or None for a blank one. Damage of a compressed
    file ends it with one BadRecord of kind `unreadable`. `member` is the file in a zip; none: the only one."""
    try:
        with _opened(path, member) as file:
            file.seek(offset)
            for line in _lines(file, sys.maxsize if size is None else size):
                yield decoded(line)
    except DAMAGE as error:
        yield BadRecord("unreadable", f"{type(error).__name__}: {error}")
    except OSError as error:
        if str(error) != _BZ2_DAMAGE:
            raise
        yield BadRecord("unreadable", f"damaged bzip2 data: {error}")


@contextlib.contextmanager
def _opened(path: str, member: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_bytes(path))
        if path.endswith(".gz"):
            yield stack.enter_context(gzip.GzipFile(fileobj=file))
        elif path.endswith(".zip"):
            archive = stack.enter_context(zipfile.ZipFile(file))
            yield stack.enter_context(archive.open(member or _members(archive)[0]))
        else:
            yield file


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = {name for name in archive.namelist() if not name.endswith("/")}
    return sorted(name for name in names if not os.path.basename(name).startswith("."))


def _lines(file: IO[bytes] | gzip.GzipFile, left: int) -> Iterator[bytes | None]:
    """The lines of the next `left` bytes; None for one that is too long, which is skipped without being held."""
    while line := file.readline(min(left, MAX_LINE + 1)):
        left -= len(line)
        if len(line) <= MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(min(left, _BLOCK))) and not rest.endswith(b"\n"):
            left -= len(rest)
        left -= len(rest)
        yield None


def decoded(line: bytes | None) -> Record | BadRecord | None:
    """The object that a line holds, what is wrong with it (None: too long), or None for a blank one."""
    if line is None:
        return BadRecord("too_long", f"the line has more than {MAX_LINE} bytes")
    if not line.strip():
        return None
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadRecord("bad_utf8", str(error))
    except (ValueError, RecursionError) as error:
        return BadRecord("bad_json", str(error))
    if not isinstance(record, dict):
        return BadRecord("not_an_object", f"the line holds a {type(record).__name__}")
    return record
