"""Where the files of tars are: each process knows the last tars, and the work folder those in buckets.

To find the files of a tar takes a request for each, so in a bucket one process does it, and the others read what it
found.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import zlib

from pipeline.storage import remote
from pipeline.storage.bucket import is_remote
from pipeline.storage.files import open_bytes
from pipeline.storage.store import Store, content_key
from pipeline.storage.tar_index import TarIndex, walk

VERSION = 1
"""Another one where `walk` finds other files."""
_AHEAD = 64 << 10  # bytes read with each header in a store: small files after it are skipped without a request
_walking = threading.Lock()
_kept: Store | None = None


def keep_in(root: str) -> None:
    """From now on, this process keeps the indexes of tars in buckets in the store `root`, and looks for them there."""
    global _kept
    if _kept is None or _kept.root != Store(root).root:
        _kept = Store(root)


def tar_index(path: str) -> TarIndex:
    """Where the files of an uncompressed tar are; the files before a damaged header stay readable.

    The last 16 indexes are cached, each as long as the size and the modification time of the tar do not change. A tar
    in an object store is assumed not to change while a process runs: a check would cost one request per image. Raises
    OSError if it cannot be opened.
    """
    if is_remote(path):
        with _walking:  # only one of several threads of a process reads it
            return _walk(path, (0, 0))
    status = os.stat(path)
    return _walk(path, (status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=16)
def _walk(path: str, version: tuple[int, int]) -> TarIndex:
    if is_remote(path):
        return _of_object(path)
    with open_bytes(path) as file:
        return walk(file)


def _of_object(path: str) -> TarIndex:
    """The index of a tar in a bucket, from the store if it has that of these very bytes."""
    described = [(size, checksum) for url, size, checksum in remote.described(path) if url == path]
    key = content_key("tar", VERSION, path, *described)
    if _kept and described and (data := _kept.find(key)):
        with contextlib.suppress(zlib.error, ValueError):  # damaged
            members, error = json.loads(zlib.decompress(data))
            return TarIndex({name: (at, size) for name, (at, size) in members.items()}, error)
    with remote.open_read(path, _AHEAD) as file:
        found = walk(file)
    if _kept and described:
        _kept.write(key, zlib.compress(json.dumps([found.members, found.error]).encode(), 1))
        _kept.flush()  # for processes that are about to begin
    return found
