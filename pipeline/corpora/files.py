"""Files that are neither lines nor rows: how a format finds, cuts and reads them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pipeline.corpora import guard
from pipeline.corpora.fields import READER_ERROR
from pipeline.storage import uris
from pipeline.storage.bucket import is_remote
from pipeline.storage.listing import tree
from pipeline.storage.tars import tar_index
from schemas.errors import UserError

if TYPE_CHECKING:
    from pipeline.corpora.fields import BadRecord
    from pipeline.corpora.parts import Format, Part


@dataclasses.dataclass(frozen=True)
class Files:
    """What a format adds for its kind of files.

    cut: the parts of all files of a corpus, given a part whose `file` is the corpus's path. read: the records of a
    part, each with its number in the file; a BadRecord takes the place of one that cannot be read.
    """

    cut: Callable[[Part, Format], Iterator[Part]]
    read: Callable[[Part], Iterator[tuple[int, dict[str, Any] | BadRecord | None]]]


def root_of(path: str) -> str:
    """The folder that names within a corpus are relative to: the folder itself, or where the glob starts."""
    return os.path.dirname(re.split(r"[*?\[]", f"{path.rstrip('/')}/*")[0])


def find_below(path: str, suffixes: tuple[str, ...]) -> list[tuple[str, str]]:
    """The files of a tree that end with one of `suffixes`: (root, name below it), sorted by name.

    Hidden files and folders (`.git`) are skipped.

    `path` is a folder, taken at any depth, a file, a glob, or an uncompressed tar; `root` ends in `.tar!` for a tar.
    """
    if path.endswith(".tar"):
        return [(f"{path}!", name) for name in sorted(tar_index(path).members) if _wanted(name, suffixes)]
    if is_remote(path) or not os.path.isdir(path):
        pattern = path if path.endswith(suffixes) or not is_remote(path) else f"{path.rstrip('/')}/**"
        root = root_of(path) if not os.path.isfile(path) else os.path.dirname(path) or "."
        return [
            (root or ".", name)
            for file in uris.find(pattern, suffixes)
            if _wanted(name := file.removeprefix(root).lstrip("/"), suffixes)
        ]
    found = []
    for folder, folders, files in tree(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(folder, path)
        found += [name if below == "." else f"{below}/{name}" for name in files]
    return [(path.rstrip("/"), name) for name in sorted(found) if _wanted(name, suffixes)]


def beside(part: Part, shape: Format) -> Iterator[Part]:
    """A part for each file that `part.file` means, with the folder of images next to it.

    It has a fault if the file must not be opened.
    """
    root, folders = root_of(part.file), uris.folders_of(part.file)
    for file in uris.find(part.file, shape.suffixes):
        images = f"{os.path.dirname(file) or '.'}/{shape.images}"
        yield dataclasses.replace(
            part,
            file=file,
            name=file.removeprefix(root).lstrip("/") or os.path.basename(file),
            images=images,
            local=uris.exists(images),
            fault=uris.refusal(file, folders),
        )


def cut_each(parts_of: Callable[[Part], Iterator[Part]]) -> Callable[[Part, Format], Iterator[Part]]:
    """The `cut` of a format whose files have their images beside them; `parts_of` divides one file.

    A file that must not be opened, or that cannot be divided (any further), has a part with the fault.
    """

    def cut(part: Part, shape: Format) -> Iterator[Part]:
        for file in beside(part, shape):
            if file.fault:
                yield file
                continue
            last = dataclasses.replace(file, count=0)
            try:
                for last in parts_of(file):
                    yield last
            except Exception as error:  # noqa: BLE001 - the fault says of which kind it is
                found, first = guard.fault_of(error, "unreadable"), last.first + (last.count or 0)
                if found.kind in ("unreadable", READER_ERROR):
                    yield dataclasses.replace(file, first=first, fault=found.detail, error=found.kind)
                else:  # a kind of record; here, it is the file
                    yield dataclasses.replace(file, first=first, fault=str(found))

    return cut


def sampled(name: str, share: float) -> bool:
    """Whether the record of this name is in the `share` that is read.

    The answer is always the same, and a larger share includes every record of a smaller one.

    >>> sum(sampled(f"docs.jsonl:{i}", 0.1) for i in range(1000))
    96
    """
    return share >= 1 or int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) < share * 2**48


def check_name(name: str) -> None:
    """Raise UserError for a name that is not UTF-8, because neither the ledger nor an instance can hold it."""
    if spelt(name) != name:
        raise UserError(f"the name of {spelt(name)} is not UTF-8; rename it and run the same command again")


def spelt(name: str) -> str:
    r"""The name with escapes for bytes that are not UTF-8, for members of archives, which cannot be renamed.

    >>> spelt("caf\udce9.jsonl")
    'caf\\xe9.jsonl'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


NO_UTF8 = "its name is not UTF-8"
"""The fault of a member whose name is not UTF-8."""


def _wanted(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.endswith(suffixes) and not any(part.startswith(".") for part in name.split("/"))
