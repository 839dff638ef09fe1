"""A folder of files named by their keys: images, scores, answers and finished instances are in such stores.

Plain files need no server and no locking, survive a killed run, and are shared by all workers: every writer of a key
writes the same value. Local folders and Beam's object stores (`gs://`, `s3://`) work in the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from apache_beam.io.filesystems import FileSystems


def content_key(*parts: Any) -> str:
    """The sha256 (hex) of the parts as canonical JSON: equal parts have the same key in every run."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """One file per key, `root/ab/abcdef...suffix`; a write is atomic: a temporary name, then a rename.

    Files are not flushed to the disk (fsync takes a millisecond or more per file), so a power failure may leave empty
    or truncated files. Readers check the content and treat such a file as missing.
    """

    def __init__(self, root: str, suffix: str = ""):
        self.root, self.suffix = str(root), suffix

    def path(self, key: str) -> str:
        """Where the file of the key is, or would be."""
        return f"{self.root}/{key[:2]}/{key}{self.suffix}"

    def read(self, key: str) -> bytes | None:
        """The bytes of the key; None if it was never written."""
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
        """Write the bytes of the key, whole or not at all."""
        write_bytes(self.path(key), data)


def is_remote(path: str) -> bool:
    """Whether the path is in an object store.

    >>> is_remote("gs://bucket/out"), is_remote("out/demo")
    (True, False)
    """
    return "://" in path


def open_bytes(path: str) -> BinaryIO:
    """Open for reading. Raises FileNotFoundError if there is no file, also in object stores."""
    if not is_remote(path):
        return open(path, "rb")
    if not files().exists(path):
        raise FileNotFoundError(path)
    remote: BinaryIO = files().open(path, compression_type="uncompressed")
    return remote


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Write to a file that gets its name only when it is complete: readers never see a part of it."""
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    if is_remote(path):
        with files().create(temporary, compression_type="uncompressed") as file:
            yield file
        files().rename([temporary], [path])
        return
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


def files() -> type[FileSystems]:
    """Beam's file systems, for object stores."""
    from apache_beam.io.filesystems import FileSystems  # slow to import, and local runs need it only for the DAG

    return FileSystems
