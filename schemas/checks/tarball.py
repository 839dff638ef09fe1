"""Reads the files of a shard from front to back, and reports what is not as `schemas.tar` writes it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from schemas.folder import size_of
from schemas.tar import BLOCK, header, length

MOST = {"json": 4 << 20}
"""The most bytes of a member by its ending, far above what a build writes; the next constant is for images."""
MOST_IMAGE = 64 << 20
MOST_SAMPLE = 256 << 20
"""The most bytes of all members of a sample, which are in memory together."""
MOST_MEMBERS = 101
"""A JSON file and 100 images."""
STEP = 1 << 20

_NAME = re.compile(r"[0-9a-f]{20}\.(json|[0-9]{2}\.(jpg|png))")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file of the tar: `<key>.<member>`; `offset` is that of its data."""

    key: str
    member: str
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something wrong with the tar itself."""

    kind: str
    message: str
    key: str = ""


class Reader:
    """A file that is read once; keeps the offset and the sha256 of what was read."""

    def __init__(self, file: BinaryIO):
        self._file, self._hash, self.offset = file, hashlib.sha256(), 0
        self.size = size_of(file)

    def read(self, size: int) -> bytes:
        """Read `size` bytes, or what is left: a damaged size field must not ask for gigabytes."""
        data = self._file.read(min(size, self.size - self.offset))
        self._hash.update(data)
        self.offset += len(data)
        return data

    def skip(self, size: int) -> int:
        """Skip `size` bytes, or what is left; returns how many were skipped."""
        start = self.offset
        while self.offset - start < size and self.read(min(STEP, size - (self.offset - start))):
            pass
        return self.offset - start

    def finish(self) -> str:
        """Read to the end; the sha256 of the whole file."""
        self.skip(self.size)
        return self._hash.hexdigest()


def entries(reader: Reader) -> Iterator[Entry | Problem]:
    """The files in order. Nothing follows a problem of the kind `tar-truncated`, `tar-broken` or `tar-end`."""
    key, members, whole = "", 0, 0  # of the current sample
    while True:
        start = reader.offset
        block = reader.read(BLOCK)
        if len(block) < BLOCK:
            yield Problem("tar-truncated", "stops without an end mark", key)
            return
        if not any(block):
            yield from _end(reader, start)
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            if info.size < 0:
                raise ValueError("negative size")
        except (tarfile.TarError, ValueError) as error:
            yield Problem("tar-broken", f"no tar header at byte {start}: {error}", key)
            return
        named = _NAME.fullmatch(info.name)
        if named and info.name[:20] != key:
            key, members, whole = info.name[:20], 0, 0
        members, whole = members + 1, whole + info.size
        too_large = members > MOST_MEMBERS or whole > MOST_SAMPLE or info.size > MOST.get(info.name[21:], MOST_IMAGE)
        offset = reader.offset
        data = b"" if too_large else reader.read(info.size)
        there = reader.skip(info.size) if too_large else len(data)
        padding = reader.read(-info.size % BLOCK)
        if there < info.size or len(padding) < -info.size % BLOCK:
            yield Problem("tar-truncated", f"stops inside {info.name}", key)
            return
        if not info.isreg():
            yield Problem("tar-header", f"{info.name} is not a regular file", key)
        elif not named:
            yield Problem("member-stray", f"{info.name!r} is no member of a sample", key)
        else:
            if block != header(info.name, info.size) or any(padding):
                yield Problem("tar-header", f"{info.name} is not plain USTAR with mode 0644, no owner and time 0", key)
            if too_large:
                yield Problem(
                    "member-size",
                    f"{info.name} has {info.size:,} bytes, and with it its sample {members} "
                    f"members of {whole:,} bytes: more than is read",
                    key,
                )
            else:
                yield Entry(key, info.name[21:], offset, data)


def _end(reader: Reader, start: int) -> Iterator[Problem]:
    """Check what follows the first empty block: zeros up to a whole record, and nothing after them."""
    stop = length(start)
    rest = reader.read(stop - reader.offset)
    if any(rest) or reader.offset != stop or reader.size != stop:
        yield Problem("tar-end", f"does not end with zeros at byte {stop}")
