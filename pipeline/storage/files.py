"""Files and objects by their path or URL: open, read a range, list a folder, write whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.storage import remote
from pipeline.storage.bucket import is_remote


def open_bytes(path: str, block: int = remote.BLOCK) -> BinaryIO:
    """Open a regular file for reading; `block` is the bytes of one request to an object store.

    Raises FileNotFoundError if there is none, also on object stores, and another OSError for a folder, a pipe, a socket
    or a device, because opening one of these may block for ever.
    """
    return remote.open_read(path, block) if is_remote(path) else open(path, "rb", opener=_regular)


def get(path: str, start: int = 0, end: int | None = None) -> bytes:
    """The bytes from `start` to before `end`, by one request to an object store. Raises as `open_bytes`."""
    if is_remote(path):
        return remote.get(path, start, end)
    with open(path, "rb", buffering=0, opener=_regular) as file:
        return os.pread(file.fileno(), (os.fstat(file.fileno()).st_size if end is None else end) - start, start)


def resolved(folder: str) -> str:
    """The one name of a folder: a path without links, or a URL without a last slash."""
    return folder.rstrip("/") if is_remote(folder) else os.path.realpath(folder)


def directly_in(folder: str) -> list[str]:
    """The files directly in a folder, sorted; its name is no glob. An empty list if there is no such folder."""
    if is_remote(folder):
        return remote.directly_in(folder)
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        return sorted(f"{folder}/{entry.name}" for entry in found if entry.is_file())
    return []


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Write to a file that gets its name only when it is complete: readers never see a part of it."""
    if is_remote(path):
        with remote.writing(path) as file:
            yield file
        return
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_bytes(path: str, data: bytes, lasting: bool = False) -> None:
    """Write a file atomically; `lasting`: so that a power failure cannot damage it any more (some milliseconds)."""
    with replacing(path) as file:
        file.write(data)
        if lasting and not is_remote(path):
            file.flush()
            os.fsync(file.fileno())


def settle(folder: str) -> None:
    """Have everything in a local folder on its disk: a power failure then leaves no name without its contents."""
    if is_remote(folder):
        return
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (".", *(name for name in names if os.path.isfile(f"{at}/{name}"))):
            descriptor = os.open(f"{at}/{name}", os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    code = errno.EISDIR if stat.S_ISDIR(mode) else errno.ENODEV
    raise OSError(code, "is a folder" if stat.S_ISDIR(mode) else "is no regular file", path)
