"""A folder of files named by their keys: images, scores, answers and finished instances are in such stores.

Plain files need no server and no locking, survive a killed run, and are shared by all workers: every writer of a key
writes the same value. In an object store, many results share a file: see `segments.py`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.storage import remote, segments
from pipeline.storage.bucket import is_remote


def content_key(*parts: Any) -> str:
    """The sha256 (hex) of the parts as canonical JSON: equal parts have the same key in every run."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """One file per key, `root/ab/abcdef...suffix`, or segments in an object store.

    A write is atomic: a temporary name, then a rename.

    Files are not flushed to the disk (fsync takes a millisecond or more per file), so a power failure may leave empty
    or truncated files. Readers check the content and treat such a file as missing.
    """

    def __init__(self, root: str, suffix: str = ""):
        self.root, self.suffix = str(root), suffix

    def path(self, key: str) -> str:
        """The path of the key's file, whether it exists or not."""
        return f"{self.root}/{key[:2]}/{key}{self.suffix}"

    def read(self, key: str) -> bytes | None:
        """The bytes of the key; None if it was never written."""
        if is_remote(self.root):
            return segments.of(self.root).read(key)
        try:
            with open_bytes(self.path(key)) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def read_json(self, key: str) -> Any:
        """The value of the key; None if it was never written, or is damaged."""
        data = self.read(key)
        try:
            return None if data is None else json.loads(data)
        except ValueError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Write the bytes of the key, completely or not at all.

        In an object store, when the bundle ends (`segments`).
        """
        if is_remote(self.root):
            segments.of(self.root).write(key, data)
        else:
            write_bytes(self.path(key), data)

    def flush(self) -> None:
        """Let other processes see what this one has written."""
        if is_remote(self.root):
            segments.of(self.root).flush()

    def find(self, key: str) -> bytes | None:
        """As `read`, but also finds what another process has just written."""
        return segments.of(self.root).find(key) if is_remote(self.root) else self.read(key)


def open_bytes(path: str, block: int = remote.BLOCK) -> BinaryIO:
    """Open a regular file for reading; `block` is the bytes of one request to an object store.

    Raises FileNotFoundError if there is none, also on object stores, and another OSError for a folder, a pipe, a socket
    or a device, because opening one of these may block for ever.
    """
    return remote.open_read(path, block) if is_remote(path) else open(path, "rb", opener=_regular)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Write to a file that gets its name only when it is complete: readers never see a part of it."""
    if is_remote(path):
        with remote.writing(path) as file:
            yield file
        return
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_bytes(path: str, data: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as file:
        file.write(data)


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    code = errno.EISDIR if stat.S_ISDIR(mode) else errno.ENODEV
    raise OSError(code, "is a folder" if stat.S_ISDIR(mode) else "is no regular file", path)
