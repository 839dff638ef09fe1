"""Uses objects like files: open, find by pattern, move and delete, by their URL."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from pipeline.storage.bucket import Bucket, check, is_remote, split
from schemas.errors import AGAIN, UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
"""The bytes that are read at once from an object that is read in order."""
_IN_MEMORY = 16 << 20  # bytes that wait for their upload; more wait on the disk
_WILD = re.compile(r"[*?\[]")


def check_folders(*folders: str) -> None:
    """As `bucket.check`, for folders to which a run writes; also for one whose name would be read as a glob."""
    for folder in filter(is_remote, folders):
        if _WILD.search(folder):
            raise UserError(f"{folder} cannot be written to: choose a name without *, ? and [")
    check(*folders)


def folder(path: str) -> str:
    """A folder to write to, as the user names it, without slashes at its end. Raises UserError as `check_folders`."""
    check_folders(path)  # before that: s3:// without a bucket would become a local folder
    return path.rstrip("/")


def get(url: str, start: int = 0, end: int | None = None) -> bytes:
    """The bytes from `start` to before `end`, by one request. Raises FileNotFoundError."""
    bucket, name = split(url)
    return bucket.read(name, start, end)


def open_read(url: str, block: int = BLOCK) -> BinaryIO:
    """Open an object for reading, with `block` bytes per request. Raises FileNotFoundError."""
    bucket, name = split(url)
    return io.BufferedReader(_Ranges(bucket, name, bucket.size(name)), block)


@contextlib.contextmanager
def writing(url: str) -> Iterator[BinaryIO]:
    """A file that is uploaded as the object when the block ends without an exception."""
    split(url)  # before the work is done
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        yield file  # type: ignore[misc]  # it lacks three methods that nobody calls
        _write(url, file)  # type: ignore[arg-type]


def put_if_absent(url: str, data: bytes) -> None:
    """Write an object if it does not exist. Raises FileExistsError if it does: of several writers one succeeds."""
    _write(url, io.BytesIO(data), absent=True)


def read_version(url: str) -> tuple[bytes, str]:
    """A small object, and a mark of this version of it. Raises FileNotFoundError."""
    bucket, name = split(url)
    return bucket.read_version(name)


def replace(url: str, data: bytes, version: str) -> None:
    """Write an object if it still has this version. Raises FileExistsError, or FileNotFoundError, if it has not."""
    bucket, name = split(url)
    bucket.replace(name, data, version)


def delete_version(url: str, version: str) -> None:
    """Delete an object if it still has this version. Raises FileExistsError if it has another."""
    bucket, name = split(url)
    bucket.delete(name, version)


def exists(url: str) -> bool:
    """Whether there is such an object, or one whose name begins with it and a `/`."""
    bucket, name = split(url)
    try:
        if name and not name.endswith("/"):
            bucket.size(name)
            return True
    except FileNotFoundError:
        pass
    folder = f"{name.rstrip('/')}/" if name.strip("/") else ""
    return next(_names(bucket, folder, deep=True), None) is not None


def find(pattern: str) -> list[str]:
    """The objects that a pattern means, sorted.

    An object, a folder (those directly in it), or a glob, in which `**` stands for any number of folders.
    """
    bucket, name = split(pattern)
    root = pattern.removesuffix(name) if name else f"{pattern.rstrip('/')}/"
    wild = _WILD.search(name)
    if wild is None:
        folder = f"{name.rstrip('/')}/" if name.strip("/") else ""
        found = [one for one in _names(bucket, folder, deep=False) if not one.endswith("/")]
        if not found and name and not name.endswith("/"):
            with contextlib.suppress(FileNotFoundError):
                bucket.size(name)
                found = [name]
        return [root + one for one in sorted(found)]
    start = name[: wild.start()]
    deep = "/" in name[wild.start() :] or "**" in name
    matching = re.compile(_regex(name), re.S)
    return [root + found for found in sorted(_names(bucket, start, deep)) if matching.fullmatch(found)]


def directly_in(folder: str) -> list[str]:
    """The objects directly in a folder, sorted; its name is no glob."""
    bucket, name = split(f"{folder.rstrip('/')}/")
    root = folder.rstrip("/").removesuffix(name.rstrip("/"))
    return [root + found for found in sorted(_names(bucket, name, deep=False))]


def described(url: str) -> Iterator[tuple[str, int, str]]:
    """The objects whose URL begins with `url`, each with its bytes and the store's own checksum (or "")."""
    bucket, prefix = split(url)
    root = url.removesuffix(prefix)
    with contextlib.suppress(FileNotFoundError):  # a bucket that does not exist
        yield from ((root + name, size, checksum) for name, size, checksum in bucket.described(prefix))


def move(source: str, target: str) -> None:
    """Rename an object within its bucket: copied within the store, then deleted."""
    (bucket, name), (_, goal) = split(source), split(target)
    bucket.copy(name, goal)
    bucket.delete(name)


def remove(url: str) -> None:
    """Delete an object, and all whose names begin with it and a `/`."""
    bucket, name = split(url)
    bucket.delete(name)
    for found in list(_names(bucket, f"{name}/", deep=True)):
        bucket.delete(found)


def _write(url: str, file: BinaryIO, absent: bool = False) -> None:
    bucket, name = split(url)
    try:
        bucket.write(name, file, absent)
    except FileNotFoundError as error:
        raise UserError(f"{url} cannot be written, because there is no such bucket; make it and {AGAIN}") from error


def _names(bucket: Bucket, prefix: str, deep: bool) -> Iterator[str]:
    """The names that begin with `prefix`; none if the bucket does not exist."""
    with contextlib.suppress(FileNotFoundError):
        yield from bucket.list(prefix, deep)


class _Ranges(io.RawIOBase):
    """An object as a file that can be sought: each read is one request of a range."""

    def __init__(self, bucket: Bucket, name: str, size: int):
        self._bucket, self._name, self._size, self._at = bucket, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise OSError(22, "a place before the beginning", self._name)
        self._at = at
        return at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._next(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._next(self._size)

    def _next(self, size: int) -> bytes:
        end = min(self._at + size, self._size)
        data = self._bucket.read(self._name, self._at, end) if end > self._at else b""
        self._at += len(data)
        return data


def _regex(pattern: str) -> str:
    """A glob as a regular expression.

    `*` and `?` stand for anything but a `/`, `[ab]` for one of them, `**` also for folders.

    >>> bool(re.fullmatch(_regex("a/*.jsonl"), "a/b.jsonl")), bool(re.fullmatch(_regex("a/*.jsonl"), "a/b/c.jsonl"))
    (True, False)
    """
    found, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            found, at = found + ".*", at + 2
        elif pattern[at] in "*?":
            found, at = found + ("[^/]*" if pattern[at] == "*" else "[^/]"), at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inner = pattern[at + 1 : end].replace("\\", "\\\\")
            found, at = found + f"[{'^' + inner[1:] if inner[0] == '!' else inner}]", end + 1
        else:
            found, at = found + re.escape(pattern[at]), at + 1
    return found
