"""What a run needs of an object store, and the supported stores.

One small file each, which uses the store's own client.

A client is made once in a process. It retries after temporary errors (a 429, a 5xx, a lost connection), with growing
random pauses. What still fails after PATIENCE seconds is a ServiceError, which stops the run and never becomes a ledger
row; what a retry cannot fix (no access, no such bucket) is a UserError.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from schemas.errors import AGAIN, ServiceError, UserError, one_line

PATIENCE = 300.0
"""The seconds for which an operation is retried."""
CONNECTIONS = 64
"""The most connections of a client; more threads than that wait for each other."""


class Bucket(Protocol):
    """One bucket; names are those of objects in it. Every method but `list` and `described` is one request, for small objects.

    Raises FileNotFoundError, FileExistsError, ServiceError and UserError.
    """

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to before `end` (None: to the end), or fewer if the object ends before."""

    def size(self, name: str) -> int:
        """The size of an object in bytes."""

    def write(self, name: str, file: BinaryIO, absent: bool = False) -> None:
        """Write an object from an open file, completely or not at all; `absent`: only if it does not exist."""

    def read_version(self, name: str) -> tuple[bytes, str]:
        """A small object, and a mark of this version of it, which every write changes."""

    def replace(self, name: str, data: bytes, version: str) -> None:
        """Write an object if it still has this version. Raises FileExistsError if it has another."""

    def list(self, prefix: str, deep: bool) -> Iterator[str]:
        """The names that begin with `prefix`, sorted; without `deep`, those with no further `/` in them."""

    def described(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """The names that begin with `prefix`, each with its bytes and the store's own checksum; the latter may be ""."""

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store."""

    def delete(self, name: str, version: str = "") -> None:
        """Delete an object; if it does not exist, nothing happens.

        version: only this one. Raises FileExistsError if it has another.
        """


def _gcs(name: str) -> Bucket:
    from pipeline.storage.gcs import GcsBucket

    return GcsBucket(name)


def _s3(name: str) -> Bucket:
    from pipeline.storage.s3 import S3Bucket

    return S3Bucket(name)


STORES: dict[str, Callable[[str], Bucket]] = {"gs": _gcs, "s3": _s3}
"""Scheme -> the function that opens a bucket."""


def split(url: str) -> tuple[Bucket, str]:
    """The bucket and the object's name.

    Raises ValueError for an unknown scheme, and UserError if the store's client is not installed or finds no
    credentials.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme not in STORES or not bucket:
        raise ValueError(f"{one_line(url, 80)} is no address in {' or '.join(f'{s}://' for s in STORES)}")
    return _opened(scheme, bucket, os.getpid()), name


@functools.lru_cache(maxsize=64)
def _opened(scheme: str, bucket: str, process: int) -> Bucket:
    """The opened bucket; `process`, a process id, keeps a forked worker from using its parent's connections."""
    try:
        return STORES[scheme](bucket)
    except ImportError as error:
        raise UserError(
            f"{scheme}:// needs the package {error.name}, which is not installed: pip install 'leafinstruct[buckets]'"
        ) from error


def is_remote(path: str) -> bool:
    """Whether the path is in an object store.

    >>> is_remote("gs://bucket/out"), is_remote("out/demo")
    (True, False)
    """
    return "://" in path


def check(*paths: str) -> None:
    """Raise UserError for a path in a store that this program does not know or cannot open."""
    for path in filter(is_remote, paths):
        try:
            split(path)
        except ValueError as error:
            raise UserError(str(error)) from None


def fault(url: str, error: Exception, status: int | None) -> Exception:
    """The project's error for an error of a client; `status` is that of the HTTP reply, None if there was none."""
    said = one_line(f"{type(error).__name__}: {error}", 300)
    if status == 404:
        return FileNotFoundError(f"{url}: {said}")
    if status == 412:
        return FileExistsError(f"{url}: {said}")
    if status in (400, 401, 403):
        return UserError(f"{url} cannot be used ({said}): mend the access to it and {AGAIN}")
    return ServiceError(f"{url} could not be read or written, in spite of retries ({said}); {AGAIN}")
