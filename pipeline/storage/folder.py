"""A published folder in an object store, for the validator; `schemas.folder.LocalFolder` is the local counterpart."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.storage.bucket import is_remote
from pipeline.storage.files import open_bytes
from pipeline.storage.remote import described
from schemas.errors import UserError
from schemas.folder import DIRECTORY, FILE, Folder, Found, LocalFolder

NAMES = {"manifest.json", "run.json", "index.parquet", "config.yaml", "shards", "ledger", ".staging", ".work", ".lease"}
"""What tells a build's output folder, also an unfinished or damaged one, from any other."""


def opened(path: str) -> Folder:
    """The output folder at a local path or an object-store URL. Raises UserError if there is none."""
    folder: Folder = RemoteFolder(path.rstrip("/")) if is_remote(path) else LocalFolder(path)
    names = {entry.name for entry in folder.entries()}
    if not names:
        raise UserError(f"{path} is not a folder, or an empty one; give the output folder of a build")
    if not names & NAMES:
        raise UserError(f"{path} has nothing of a build; give the output folder of a build")
    return folder


@dataclasses.dataclass(frozen=True)
class RemoteFolder:
    """A folder of an object store (`gs://`, `s3://`), which has only files: no links, and no empty folders.

    For files in subfolders other than shards/ and ledger/, it lists the first part of the name.
    """

    root: str

    def entries(self, below: str = "") -> Iterator[Found]:
        start = f"{self.root}/{below}/" if below else f"{self.root}/"
        folders: set[str] = set()
        for path, size, _ in described(start):
            name, slash, _ = path.removeprefix(start).partition("/")
            name = posixpath.join(below, name)
            if not slash:
                yield Found(name, FILE, size)
            elif name not in folders:
                folders.add(name)
                yield Found(name, DIRECTORY)

    def open(self, name: str) -> BinaryIO:
        return open_bytes(f"{self.root}/{name}")
