"""Finds the files of a tar by reading its headers only (POSIX.1-2001 pax, ustar and GNU long names).

`tarfile` is not used, because a corpus is untrusted: it reads an extended header of any length, its pattern for them
takes quadratic time on digits (CVE-2024-6232), and it recurses for each header that extends another.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import os
from collections.abc import Iterator
from typing import BinaryIO

BLOCK = 512
MAX_MEMBERS = 2_000_000
"""The most files of one tar; each takes about 250 bytes of memory. The largest tar of a known corpus has 770,000
(wikihow-VGSI)."""
MAX_EXTENDED = 64 << 10
"""The most bytes of a header that extends another: a long name, or attributes."""
_IN_A_ROW = 8  # extending headers before a file's own; writers use two
_REGULAR, _EMPTY = b"0\0" + b"7", b"123456"  # types with contents, and types without, whatever the size field says


class _Damage(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class TarIndex:
    """The regular files of a tar: name -> (byte offset of the data, size in bytes).

    `error` says why reading ended before the end of the archive; it is empty if it did not.
    """

    members: dict[str, tuple[int, int]]
    error: str = ""

    def has_folder(self, name: str) -> bool:
        """Whether a file's name begins with that of the folder."""
        return next(self.below(f"{name}/"), None) is not None

    def below(self, start: str) -> Iterator[str]:
        """The names that begin so, sorted; found without a look at the others."""
        for at in range(bisect.bisect_left(self._sorted, start), len(self._sorted)):
            if not self._sorted[at].startswith(start):
                return
            yield self._sorted[at]

    @functools.cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.members)


def walk(file: BinaryIO) -> TarIndex:
    """Read all headers.

    Links, folders and devices are left out; of two files with the same name the later one counts, as when a tar is
    unpacked. Damage ends the walk and is reported in `error`; the files before it stay readable.
    """
    members: dict[str, tuple[int, int]] = {}
    end = file.seek(0, os.SEEK_END)
    at, extended, in_a_row = 0, _Extended(), 0
    try:
        while (header := _header(file, at, end)) is not None:
            kind, size = header[156:157], extended.size if extended.size is not None else _number(header[124:136], at)
            data = at + BLOCK
            if kind in b"LKxg":
                if size > MAX_EXTENDED:
                    raise _Damage(f"an extended header of {size:,} bytes at byte {at}")
                in_a_row += 1
                if in_a_row > _IN_A_ROW:
                    raise _Damage("too many extended headers in a row")
                extended = extended.and_those_of(kind, file.read(size))
            elif kind == b"S":
                raise _Damage(f"a sparse file at byte {at}, which cannot be read in place")
            else:
                name = extended.name or _name(header)
                if kind in _REGULAR and not name.endswith(b"/"):
                    members[name.decode("utf-8", "surrogateescape").removeprefix("./")] = (
                        data,
                        max(min(size, end - data), 0),
                    )
                if len(members) > MAX_MEMBERS:
                    raise _Damage(f"more than {MAX_MEMBERS:,} files")
                size = 0 if kind in _EMPTY else size
                extended, in_a_row = _Extended(), 0
            if data + size > end:
                raise _Damage("unexpected end of data")
            at = data + size + -size % BLOCK
    except _Damage as damage:
        return TarIndex(members, str(damage))
    return TarIndex(members)


@dataclasses.dataclass(frozen=True)
class _Extended:
    """What extending headers state about the file that follows."""

    name: bytes = b""
    size: int | None = None

    def and_those_of(self, kind: bytes, data: bytes) -> _Extended:
        if kind == b"L":
            return dataclasses.replace(self, name=data.partition(b"\0")[0])
        if kind != b"x":
            return self  # a link's target, or what holds for the whole archive: never a name or a size
        found = self
        while data:  # "30 path=a name of 18 bytes\n": the record's length in bytes, a key and a value
            digits, space, _ = data[:9].partition(b" ")
            length = int(digits) if digits.isdigit() and space else 0
            if not len(digits) < length <= len(data):
                raise _Damage("a damaged extended header")
            key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
            if key == b"path":
                found = dataclasses.replace(found, name=value.partition(b"\0")[0])
            elif key == b"size":
                if not (value.isdigit() and len(value) < 20):
                    raise _Damage("a damaged extended header")
                found = dataclasses.replace(found, size=int(value))
            data = data[length:]
        return found


def _header(file: BinaryIO, at: int, end: int) -> bytes | None:
    """The header at a byte; None at the end of the archive."""
    if at >= end:
        return None
    file.seek(at)
    header = file.read(BLOCK)
    if not any(header):
        return None
    if len(header) < BLOCK:
        raise _Damage("unexpected end of data")
    if sum(header) - sum(header[148:156]) + 8 * 32 != _number(header[148:156], at):
        raise _Damage(f"damaged header at byte {at}")
    return header


def _number(field: bytes, at: int) -> int:
    """The number in a header field: octal digits, or (GNU) big-endian bytes after a byte 0x80."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise _Damage(f"damaged header at byte {at}")
    return int(digits or b"0", 8)


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if header[257:263] == b"ustar\0" and prefix else name
