"""What the validator needs of a published folder, local or remote.

The local one follows no links and opens only regular files; the one for object stores is in `pipeline.storage.folder`.
"""

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
    """An entry of a folder.

    Its `name` relative to the root, its `kind` (one of the four above), and a file's `size` in bytes. `other` is a
    FIFO, a socket or a device, which must not be opened.
    """

    name: str
    kind: str
    size: int = 0


class Folder(Protocol):
    """A folder that can be listed and read. Small and picklable: worker processes get a copy."""

    def entries(self, below: str = "") -> Iterator[Found]:
        """The entries directly in the folder, or directly in its subfolder `below`; none if it does not exist."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; it can be sought.

        Raises FileNotFoundError if there is none, another OSError if it is not a regular file or cannot be read.
        """
        ...


@dataclasses.dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine. Only `root` itself may be a link, because the user named it."""

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
        try:  # without O_NONBLOCK, opening a FIFO waits for a writer
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
    """The content of a small file.

    Raises ValueError if it has more than `at_most` bytes, and the errors of `Folder.open`.
    """
    with folder.open(name) as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise ValueError(f"has more than {at_most:,} bytes")
    return data


def size_of(file: BinaryIO) -> int:
    """The size of a seekable file in bytes; its position is set to the beginning."""
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
        except OSError:  # removed since it was listed, or a failing disk: opening it will report that
            return Found(name, FILE, -1)
    return Found(name, OTHER)
