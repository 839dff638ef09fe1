"""The bytes of a shard: plain USTAR, always written in the same way. The writer and the validator share this."""

from __future__ import annotations

import tarfile
from typing import Protocol

BLOCK = tarfile.BLOCKSIZE
RECORD = tarfile.RECORDSIZE


class Writable(Protocol):
    """A file that a shard is written to sequentially."""

    def write(self, data: bytes, /) -> object: ...

    def tell(self) -> int: ...


def room(size: int) -> int:
    """The bytes that a member of `size` bytes takes up: its header, its data, and zeros up to a whole block."""
    return BLOCK + size + -size % BLOCK


def length(end: int) -> int:
    """The bytes of a tar whose members end at byte `end`: the end mark, and zeros up to a whole record."""
    return -(-(end + 2 * BLOCK) // RECORD) * RECORD


def header(name: str, size: int) -> bytes:
    """The one header that a file of this name and size may have: mode 0644, no owner, no time."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def add(file: Writable, name: str, data: bytes) -> int:
    """Append one member to a file object; returns the offset of its data."""
    file.write(header(name, len(data)))
    offset = file.tell()
    file.write(data)
    file.write(bytes(-len(data) % BLOCK))
    return offset


def finish(file: Writable) -> None:
    """Append the end mark: two empty blocks, then zeros up to a whole record (10,240 bytes), as tar does."""
    end = file.tell()
    file.write(bytes(length(end) - end))
