"""Files by their URI: a path, `archive.tar!/member`, or an object-store URL (`gs://`, `s3://`).

A tar is read in place: the first access reads all its headers (`tars`); after that a member takes one seek.
"""

from __future__ import annotations

import errno
import functools
import os
import re

from pipeline.storage import remote
from pipeline.storage.bucket import is_remote
from pipeline.storage.files import open_bytes
from pipeline.storage.listing import globbed
from pipeline.storage.tars import tar_index

_MEMBER = ".tar!/"
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES}


def read_bytes(uri: str, at_most: int = -1, folders: tuple[str, ...] = ()) -> bytes:
    """The first `at_most` bytes of a file (-1: all).

    Raises FileNotFoundError, also for a member that a tar does not have, and PermissionError for a local file that is
    not in one of `folders` (if any are given) after links are resolved.
    """
    archive, name = split_member(uri)
    if folders and not is_inside(archive or uri, folders) and os.path.lexists(archive or uri):
        raise PermissionError(errno.EPERM, "is a link that leads out of the corpus", archive or uri)
    if not archive:
        if is_remote(uri):
            return remote.get(uri, 0, at_most if at_most >= 0 else None)
        with open_bytes(uri) as file:
            return file.read(at_most) if at_most >= 0 else file.read()
    offset, size = _member(archive, name)
    if is_remote(archive):
        return remote.get(archive, offset, offset + (min(size, at_most) if at_most >= 0 else size))
    with open_bytes(archive) as file:
        file.seek(offset)
        return file.read(min(size, at_most) if at_most >= 0 else size)


def is_inside(path: str, folders: tuple[str, ...]) -> bool:
    """Whether a file is in one of the folders after links are resolved.

    Object stores have no links, so their files always are.
    """
    if is_remote(path):
        return True
    real = os.path.realpath(path)
    return any(real.startswith(f"{_real(folder).rstrip('/')}/") for folder in folders)


def refusal(path: str, folders: tuple[str, ...]) -> str:
    """Why a file that was found in an untrusted folder must not be read; empty if it may be."""
    if not is_inside(path, folders):
        return "it is a link that leads out of the corpus; if you trust it, name the file that it leads to"
    return "" if is_remote(path) or os.path.isfile(path) else "it is no regular file"


def folders_of(path: str) -> tuple[str, ...]:
    """The folders in which the files of a corpus must be: the folder `path`, or the one where the glob starts.

    For a file they are its folder and, if it is a link, the folder of the target, because the user named the file.
    """
    if os.path.isdir(path):
        return (path,)
    if os.path.exists(path):
        return (os.path.dirname(path) or ".", os.path.dirname(os.path.realpath(path)))
    return (os.path.dirname(re.split(r"[*?\[]", path)[0]) or ".",)


def exists(uri: str) -> bool:
    """Whether there is such a file or folder; in a tar or an object store, a folder is a prefix of file names.

    Raises OSError if the disk cannot say.
    """
    archive, name = split_member(uri)
    if archive:
        index = tar_index(archive)
        return name in index.members or index.has_folder(name)
    return remote.exists(uri) if is_remote(uri) else _is_there(uri)


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    except ValueError:  # a name with a NUL
        return False
    return True


def find(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files that `path` means, sorted, if they end with one of the suffixes.

    `path` is a file, a folder (the files directly in it, without hidden ones) or a glob. Raises OSError if a folder
    cannot be listed.
    """
    if is_remote(path):
        found = remote.find(path)
    elif not _is_there(path):
        found = list(globbed(path))
    elif os.path.isdir(path):
        found = [f"{path}/{name}" for name in os.listdir(path) if not name.startswith(".")]
    else:
        found = [path]
    return sorted({name for name in found if name.endswith(suffixes)})


def is_http(uri: str) -> bool:
    """Whether the URI is an http(s) address."""
    return uri[:8].lower().startswith(("http://", "https://"))


def split_member(uri: str) -> tuple[str, str]:
    """The tar and the member of a URI; ("", uri) for anything else.

    >>> split_member("a.tar!/b/c.jpg")
    ('a.tar', 'b/c.jpg')
    """
    archive, mark, name = uri.partition(_MEMBER)
    return (f"{archive}.tar", name) if mark else ("", uri)


def _member(archive: str, name: str) -> tuple[int, int]:
    try:
        return tar_index(archive).members[name]
    except KeyError:
        raise FileNotFoundError(f"{archive} has no {name}") from None


@functools.lru_cache(maxsize=256)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
