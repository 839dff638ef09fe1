"""A published folder, wherever it lies: what the validator may ask of it. The local one follows no link and opens
regular files only; the one for object stores is `pipeline.storage.folder`."""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, Protocol

FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"


@dataclasses.dataclass(frozen=True)
class Found:
    """Something in a folder: its `name` relative to the whole, its kind (one of the four above), a file's `size` in
    bytes. `other` is what is read at one's peril: a FIFO, a socket, a device."""

    name: str
    kind: str
    size: int = 0


class Folder(Protocol):
    """A folder that can be listed and read. Small and picklable: worker processes get a copy."""

    def entries(self, below: str = "") -> Iterator[Found]:
        """What lies directly in the folder, or directly in its subfolder `below`; nothing where that is not there."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable file. Raises FileNotFoundError where there is none, another OSError where it is no regular file
        or cannot be read."""
        ...


@dataclasses.dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine. Only `root` itself may be a link, for the user named it."""

    root: str

    def entries(self, below: str = "") -> Iterator[Found]:
        try:
            at = self._directory(below.split("/") if below else [])
        except OSError:
            return
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    yield _found(f"{below}/{entry.name}" if below else entry.name, entry)
        finally:
            os.close(at)

    def open(self, name: str) -> BinaryIO:
        *folders, last = name.split("/")
        at = self._directory(folders)
        try:  # without O_NONBLOCK the opening of a FIFO waits for a writer
            file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        finally:
            os.close(at)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EINVAL, "is not a regular file", name)
        return os.fdopen(file, "rb")

    def _directory(self, parts: list[str]) -> int:
        at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            try:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            finally:
                os.close(at)
            at = below
        return at


def read(folder: Folder, name: str, at_most: int) -> bytes:
    """The whole of a small file. Raises ValueError where it has more than `at_most` bytes, else as `Folder.open`."""
    with folder.open(name) as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise ValueError(f"has more than {at_most:,} bytes")
    return data


def size_of(file: BinaryIO) -> int:
    """The bytes of a seekable file, which is left at its beginning."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _found(name: str, entry: os.DirEntry[str]) -> Found:
    if entry.is_symlink():
        return Found(name, LINK)
    if entry.is_dir(follow_symlinks=False):
        return Found(name, DIRECTORY)
    if entry.is_file(follow_symlinks=False):
        try:
            return Found(name, FILE, entry.stat(follow_symlinks=False).st_size)
        except OSError:  # gone since it was listed, or a disk that fails: opening it will say
            return Found(name, FILE, -1)
    return Found(name, OTHER)
