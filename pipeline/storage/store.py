"""A folder of files named by their key: pictures, scores, answers and finished instances live in such stores.

Plain files need no server and no lock, survive a killed run, and are shared by every worker: whoever writes a key
writes what will do for all. Local folders and Beam's object stores (`gs://`, `s3://`) work alike.
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
    """The sha256 (hex) of the parts as canonical JSON: the same question has the same key in every run."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """`root/ab/abcdef...suffix`, one file a key. A write is atomic: temporary name, then rename.

    Nothing is forced to the disk (that takes a millisecond or more a file), so a power cut may leave files empty or
    cut: whoever reads finds out, and takes such a file for one that was never written.
    """

    def __init__(self, root: str, suffix: str = ""):
        self.root, self.suffix = str(root), suffix

    def path(self, key: str) -> str:
        return f"{self.root}/{key[:2]}/{key}{self.suffix}"

    def read(self, key: str) -> bytes | None:
        """The bytes of the key; None when it was never written."""
        try:
            with open_bytes(self.path(key)) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def read_json(self, key: str) -> Any:
        """The value of the key; None when it was never written, or is damaged."""
        data = self.read(key)
        try:
            return None if data is None else json.loads(data)
        except ValueError:
            return None

    def write(self, key: str, data: bytes) -> None:
        write_bytes(self.path(key), data)


def is_remote(path: str) -> bool:
    return "://" in path


def open_bytes(path: str) -> BinaryIO:
    """Open for reading. Raises FileNotFoundError where there is nothing, also on object stores."""
    if not is_remote(path):
        return open(path, "rb")
    if not files().exists(path):
        raise FileNotFoundError(path)
    remote: BinaryIO = files().open(path, compression_type="uncompressed")
    return remote


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Stream to a file that gets its name only when it is whole: readers never see half of it."""
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
    """Write a whole file or none."""
    with replacing(path) as file:
        file.write(data)


def files() -> type[FileSystems]:
    """Beam's file systems, for object stores."""
    from apache_beam.io.filesystems import FileSystems  # slow to import, and local runs need it only for the DAG
    return FileSystems
