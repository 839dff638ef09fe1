"""Reads JSON Lines: divides a file at line starts, and decodes lines one by one.

What a compressed file decompresses to is bounded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
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

import numpy as np

from pipeline.corpora.fields import BadRecord, Record, said
from pipeline.storage.files import open_bytes

PART_LINES = 200
MAX_LINE = 32 << 20  # bytes; a longer line is a fault, so that one of them cannot fill the memory
MAX_VALUES = 1_000_000
"""The most values of a record (numbers, strings, lists and objects): two bytes in a file take a hundred in memory."""
MAX_RATIO, LEAST, LEAST_LINES = 200, 8 << 20, 50_000
"""A compressed file may decompress to 200 times its size (JSON of web pages: 3 to 10 times); checked after the first 8
MiB. After the first 50,000 lines, it may have no more lines than bytes."""
MAX_DIRECTORY = 4 << 20
"""The most bytes of a zip's directory: enough for 40,000 files with names of usual length."""
LEAST_PART = 4 << 10  # the shortest part in bytes; otherwise there could be as many parts as lines
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
    """A run of lines of a file: the byte where it starts, and how many bytes and lines there are."""

    offset: int
    size: int
    count: int


def members(path: str) -> list[str]:
    """The files in a zip by name, except hidden ones (`__MACOSX/._docs.jsonl`). Raises one of DAMAGE."""
    with open_bytes(path) as file, _archive(file) as archive:
        return _members(archive)


def runs(file: BinaryIO, offset: int, size: int, *, inside: bool = False) -> Iterator[Lines]:
    """Runs of PART_LINES lines (or a multiple, if the lines are short) of those that start in a range of an open file.

    They cover the range; the last line may go on behind it. `inside`: the range does not begin where a line does, but
    inside the file, so its first line starts after the first line break; if there is none, the only run has 0 lines.
    """
    at, end = offset - inside, offset + size
    start, before, total = offset, 0, int(not inside)  # of the current run its byte and the lines before it; lines
    file.seek(at)
    while at < end - 1 and (block := file.read(min(_BLOCK, end - 1 - at))):
        starts = at + 1 + np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        for which in range(-total % PART_LINES, len(starts), PART_LINES):
            place, number = int(starts[which]), total + which
            if number == 0:
                start = place
            elif place - start >= LEAST_PART:
                yield Lines(start, place - start, number - before)
                start, before = place, number
        total += len(starts)
        at += len(block)
    yield Lines(start, end - start, total - before)


def read(path: str, offset: int, size: int | None, member: str = "") -> Iterator[Record | BadRecord | None]:
    """Every line decoded: an object, a BadRecord that says what is wrong, or None for a blank line.

    A damaged compressed file ends with one BadRecord `unreadable`, and one that decompresses to too much with
    `too_long`. `member` is the file in a zip; empty: the only one.
    """
    try:
        with _opened(path, member, size) as file:
            if offset:
                file.seek(offset)
            for line in _lines(file, sys.maxsize if size is None else size):
                yield decoded(line)
    except BadRecord as bomb:
        yield bomb
    except DAMAGE as error:
        yield BadRecord("unreadable", said(error))
    except OSError as error:
        if str(error) != _BZ2_DAMAGE:
            raise
        yield BadRecord("unreadable", "damaged bzip2 data")


@contextlib.contextmanager
def _opened(path: str, member: str, size: int | None) -> Iterator[IO[bytes] | _Inflating]:
    """The file whose lines are read; of an object, a request brings no more than the `size` bytes of the part."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_bytes(path, min(size or _BLOCK, _BLOCK)))
        if path.endswith(".gz"):
            yield _Inflating(stack.enter_context(gzip.GzipFile(fileobj=file)), file)
        elif path.endswith(".zip"):
            archive = stack.enter_context(_archive(file))
            yield _Inflating(stack.enter_context(archive.open(member or _members(archive)[0])), file)
        else:
            yield file


class _Inflating:
    """The lines of a compressed file, as long as their number and size are in proportion to the file's size."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, source: BinaryIO):
        self._file, self._source, self._start = file, source, source.tell()
        self._bytes = self._lines = 0

    def seek(self, offset: int) -> None:
        self._file.seek(offset)

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self._bytes += len(line)
        self._lines += 1
        if self._bytes > LEAST or self._lines > LEAST_LINES:
            read = max(self._source.tell() - self._start, 0)
            if self._bytes > LEAST + MAX_RATIO * read or self._lines > LEAST_LINES + read:
                raise BadRecord("too_long", f"{self._bytes:,} bytes in {self._lines:,} lines come of {read:,}")
        return line


@contextlib.contextmanager
def _archive(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """An open zip.

    Raises BadZipFile if its directory is too long, or if its files overlap, with which a few bytes can become many
    large files.
    """
    with zipfile.ZipFile(_Frugal(file)) as archive:
        if sum(found.compress_size for found in archive.infolist()) > file.seek(0, os.SEEK_END):
            raise zipfile.BadZipFile("files that overlap")
        yield archive


class _Frugal:
    """A file that refuses to read much at once, and to seek before its beginning.

    In a zip, a long read would be that of its directory.
    """

    def __init__(self, file: BinaryIO):
        self.tell, self.seekable, self._read, self._seek = file.tell, file.seekable, file.read, file.seek

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if not -sys.maxsize < offset < sys.maxsize or (whence == os.SEEK_SET and offset < 0):
            raise zipfile.BadZipFile("an offset outside the file")
        try:
            return self._seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise zipfile.BadZipFile("an offset outside the file") from None

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes")
        return self._read(size)


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = {name for name in archive.namelist() if not name.endswith("/")}
    return sorted(name for name in names if not os.path.basename(name).startswith("."))


def _lines(file: IO[bytes] | _Inflating, left: int) -> Iterator[bytes | None]:
    """The lines of the next `left` bytes.

    None for one that is too long, which is skipped without being kept in memory.
    """
    while line := file.readline(min(left, MAX_LINE + 1)):
        left -= len(line)
        if len(line) <= MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(min(left, _BLOCK))) and not rest.endswith(b"\n"):
            left -= len(rest)
        left -= len(rest)
        yield None


def decoded(line: bytes | None, most: int = MAX_VALUES) -> Record | BadRecord | None:
    """The object in a line, a BadRecord that says what is wrong, or None for a blank line.

    `line` is None if it was too long. `most` is the most values that it may have.
    """
    if line is None:
        return BadRecord("too_long", f"the line has more than {MAX_LINE} bytes")
    if not line.strip():
        return None
    if len(line) > most and sum(map(line.count, (b",", b"[", b"{"))) > most:
        return BadRecord("too_long", f"the line has more than {most:,} values")
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadRecord("bad_utf8", f"byte {error.start} of the line")
    except (ValueError, RecursionError) as error:
        return BadRecord("bad_json", str(error))
    if not isinstance(record, dict):
        return BadRecord("not_an_object", f"the line holds a {type(record).__name__}")
    return record
