"""Files of a kind of their own: how a format finds, cuts and reads them, where they are neither lines nor rows."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pipeline.storage import uris
from pipeline.storage.bucket import is_remote
from schemas.errors import UserError

if TYPE_CHECKING:
    from pipeline.corpora.fields import BadRecord
    from pipeline.corpora.parts import Format, Part


@dataclasses.dataclass(frozen=True)
class Files:
    """What a format adds for its kind of files.

    cut: the parts of all the files that a corpus means, given a part whose `file` is the corpus's path. read: the
    records of a part, each with its number in the file; what is wrong with a record stands in its place.
    """

    cut: Callable[[Part, Format], Iterator[Part]]
    read: Callable[[Part], Iterator[tuple[int, dict[str, Any] | BadRecord | None]]]


def root_of(path: str) -> str:
    """The folder that names within a corpus are relative to: the folder itself, or where the glob starts."""
    return os.path.dirname(re.split(r"[*?\[]", f"{path.rstrip('/')}/*")[0])


def find_below(path: str, suffixes: tuple[str, ...]) -> list[tuple[str, str]]:
    """The files of a tree that end with one of `suffixes`: (root, name below it), sorted by name. Hidden files and
    folders (`.git`) are passed over.

    `path` is a folder, taken at any depth, a file, a glob, or an uncompressed tar; `root` ends in `.tar!` for a tar.
    """
    if path.endswith(".tar"):
        return [(f"{path}!", name) for name in sorted(uris.tar_index(path).members) if _wanted(name, suffixes)]
    if is_remote(path) or not os.path.isdir(path):
        pattern = path if path.endswith(suffixes) or not is_remote(path) else f"{path.rstrip('/')}/**"
        root = root_of(path) if not os.path.isfile(path) else os.path.dirname(path) or "."
        return [
            (root, name)
            for file in uris.find(pattern, suffixes)
            if _wanted(name := file.removeprefix(root).lstrip("/"), suffixes)
        ]
    found = []
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(folder, path)
        found += [name if below == "." else f"{below}/{name}" for name in files]
    return [(path.rstrip("/"), name) for name in sorted(found) if _wanted(name, suffixes)]


def beside(part: Part, shape: Format) -> Iterator[Part]:
    """A part for each file that `part.file` means, with the folder of images beside it, and with a fault where the file
    is not to be opened."""
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


def sampled(name: str, share: float) -> bool:
    """Is the record of this name one of the `share` that is read? Always the same answer; a larger share holds every
    record of a smaller one.

    >>> sum(sampled(f"docs.jsonl:{i}", 0.1) for i in range(1000))
    96
    """
    return share >= 1 or int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) < share * 2**48


def check_name(name: str) -> None:
    """Raise UserError for a name that is no UTF-8, which neither the ledger nor a sample could spell."""
    if spelt(name) != name:
        raise UserError(f"the name of {spelt(name)} is not UTF-8; rename it and run the same command again")


def spelt(name: str) -> str:
    r"""The name with escapes for what is no UTF-8 in it: nobody can rename the members of a stranger's archive.

    >>> spelt("caf\udce9.jsonl")
    'caf\\xe9.jsonl'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


NO_UTF8 = "its name is not UTF-8"
"""The fault of such a member."""


def _wanted(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.endswith(suffixes) and not any(part.startswith(".") for part in name.split("/"))
