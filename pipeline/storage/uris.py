"""Files by their URI: a path, `archive.tar!/member`, or an object-store URL (`gs://`, `s3://`) through Beam.

A tar is read in place: the first access reads all its headers, once per process; after that a member takes one seek.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import glob
import os
import tarfile

from pipeline.storage.store import files, is_remote, open_bytes

_MEMBER = ".tar!/"


@dataclasses.dataclass(frozen=True)
class TarIndex:
    """The regular files of a tar: name -> (byte offset of the data, size in bytes).

    `error` says why reading ended before the end of the archive; it is empty if it did not.
    """

    members: dict[str, tuple[int, int]]
    error: str = ""


def tar_index(path: str) -> TarIndex:
    """Where the files of an uncompressed tar are; the files before a damaged header stay readable.

    The last 16 indexes are cached, each as long as the size and the modification time of the tar do not change. A tar
    in an object store is assumed not to change: a check would cost one request per image. Raises OSError if it cannot
    be opened.
    """
    if is_remote(path):
        return _walk(path, (0, 0))
    status = os.stat(path)
    return _walk(path, (status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=16)
def _walk(path: str, version: tuple[int, int]) -> TarIndex:
    members: dict[str, tuple[int, int]] = {}
    with open_bytes(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    if tar.offset <= member.offset:  # a negative size: the walk would never end
                        return TarIndex(members, f"damaged header at byte {member.offset}")
                    if member.isreg():
                        members[member.name.removeprefix("./")] = (member.offset_data, member.size)
                    tar.members = []  # type: ignore[attr-defined]  # not in typeshed; or every header is kept
                file.seek(tar.offset)
                if any(file.read(tarfile.BLOCKSIZE)):  # tarfile treats a damaged header as the end
                    return TarIndex(members, f"damaged header at byte {tar.offset}")
        except RecursionError:  # tarfile calls itself for each header that extends another
            return TarIndex(members, "too many extended headers in a row")
        except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
            return TarIndex(members, str(error) or type(error).__name__)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a size that leads beyond what the system can seek to
                raise
            return TarIndex(members, f"damaged header: {error}")
    return TarIndex(members)


def read_bytes(uri: str, at_most: int = -1) -> bytes:
    """The first `at_most` bytes (-1: all). Raises FileNotFoundError, also for a member that a tar does not have."""
    archive, name = split_member(uri)
    if not archive:
        with open_bytes(uri) as file:
            return file.read(at_most) if at_most >= 0 else file.read()
    offset, size = _member(archive, name)
    with open_bytes(archive) as file:
        file.seek(offset)
        return file.read(min(size, at_most) if at_most >= 0 else size)


def exists(uri: str) -> bool:
    """Whether there is such a file or folder; in a tar or an object store, a folder is a prefix of file names."""
    archive, name = split_member(uri)
    if archive:
        members = tar_index(archive).members
        return name in members or any(member.startswith(f"{name}/") for member in members)
    if is_remote(uri):
        return bool(_match(uri) or _match(f"{uri}/*"))
    return os.path.exists(uri)


def find(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files that `path` means, sorted, if they end with one of the suffixes.

    `path` is a file, a folder (the files directly in it) or a glob.
    """
    if is_remote(path):
        found = [name for pattern in (path, f"{path.rstrip('/')}/*") for name in _match(pattern)]
    elif os.path.isdir(path):
        found = glob.glob(f"{glob.escape(path)}/*")
    elif os.path.exists(path):
        found = [path]
    else:
        found = glob.glob(path, recursive=True)
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


def _match(pattern: str) -> list[str]:
    [result] = files().match([pattern])
    return [metadata.path for metadata in result.metadata_list]
