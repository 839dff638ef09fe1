"""The stand-in for an object store: a folder whose operations and bytes are counted, in the process that uses it."""

from __future__ import annotations

import collections
import io
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.storage import bucket as stores
from pipeline.storage.files import open_bytes, replacing

SCHEME = "counted"
PAGE = 1000
"""The names in one reply to a request for a list, as in Google's and Amazon's stores."""


class Folder:
    """A bucket (`pipeline.storage.bucket.Bucket`) in a local folder.

    counts: how many operations there were, by their name and that of the object (`_of`); under `bytes`, what was read.
    """

    def __init__(self, root: Path):
        self.root, self.counts = root, collections.Counter[str]()
        self._lock = threading.Lock()

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with open_bytes(f"{self.root}/{name}") as file:
            file.seek(start)
            data = file.read() if end is None else file.read(max(end - start, 0))
        self._count(f"read {_of(name)}")
        self._count(f"bytes {_of(name)}", len(data))
        return data

    def size(self, name: str) -> int:
        self._count(f"size {_of(name)}")
        path = self.root / name
        if not path.is_file():
            raise FileNotFoundError(str(path))
        return path.stat().st_size

    def write(self, name: str, file: BinaryIO, absent: bool = False) -> None:
        self._count(f"write {_of(name)}")
        if absent and (self.root / name).exists():
            raise FileExistsError(name)
        file.seek(0)
        with replacing(f"{self.root}/{name}") as copy:
            while block := file.read(1 << 20):
                copy.write(block)

    def list(self, prefix: str, deep: bool) -> Iterator[str]:
        yield from (name for name in self._paged(prefix) if deep or "/" not in name[len(prefix) :])

    def described(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        for name in self._paged(prefix):
            yield name, (self.root / name).stat().st_size, ""

    def copy(self, source: str, target: str) -> None:
        self._count(f"copy {_of(target)}")
        with open_bytes(f"{self.root}/{source}") as file, replacing(f"{self.root}/{target}") as copy:
            copy.write(file.read())

    def read_version(self, name: str) -> tuple[bytes, str]:
        return self.read(name), self._version(name)

    def replace(self, name: str, data: bytes, version: str) -> None:
        if self._version(name) != version:
            raise FileExistsError(name)
        self.write(name, io.BytesIO(data))

    def delete(self, name: str, version: str = "") -> None:
        self._count(f"delete {_of(name)}")
        if (self.root / name).is_file():  # a store has no folders that could be deleted
            if version and self._version(name) != version:
                raise FileExistsError(name)
            (self.root / name).unlink()

    def _version(self, name: str) -> str:
        return str((self.root / name).stat().st_mtime_ns)

    def _paged(self, prefix: str) -> Iterable[str]:
        """The names that begin with the prefix, sorted; counts the requests that they take."""
        below = self.root / prefix.rpartition("/")[0]
        found = [os.path.relpath(f"{at}/{name}", self.root) for at, _, names in os.walk(below) for name in names]
        names = sorted(name for name in found if name.startswith(prefix))
        self._count(f"list {_of(prefix)}", max(1, -(-len(names) // PAGE)))
        return names

    def _count(self, name: str, count: int = 1) -> None:
        with self._lock:
            self.counts[name] += count


def _of(name: str) -> str:
    """What an object's name is counted under: the first folder and the ending, or two folders in the work folder."""
    first, _, rest = name.partition("/")
    return f"work {rest.partition('/')[0]}" if first == "work" else f"{first} {rest.rpartition('.')[2]}".strip()


def opened(root: Path) -> Folder:
    """Make `counted://bucket/...` the address of objects in the folder, in this process."""
    folder = Folder(root)
    stores.STORES[SCHEME] = lambda name: folder
    return folder
