"""Fingerprints of the files that a run reads, for the manifest, so that a change of the input is noticed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence

from pipeline.corpora import files
from pipeline.corpora.files import root_of, spelt
from pipeline.sources import Corpus
from pipeline.storage.bucket import is_remote
from pipeline.storage.files import open_bytes, resolved
from pipeline.storage.listing import tree
from pipeline.storage.remote import described
from pipeline.storage.uris import exists, is_inside
from schemas.codec import Json
from schemas.errors import UserError

THREADS = 8
BLOCK = 1 << 20
TOGETHER = 1000  # files whose entries are in memory

Entry = tuple[str, int, str]
"""(name within the corpus, bytes, digest)"""


def fingerprints(corpora: Sequence[Corpus], ours: Sequence[str] = ()) -> list[Json]:
    """For each corpus its name, the number and the bytes of its files, and a sha256.

    The sha256 is over names, sizes and contents. The files are those with records, and all in the folders of images
    next to them. Files below the folders `ours`, to which the run writes, are left out.

    Local files are read completely. In an object store, the store's own checksums of the files with records are used,
    and names and sizes of the images.
    """
    return [_fingerprint(corpus, tuple(map(resolved, ours))) for corpus in corpora]


def _fingerprint(corpus: Corpus, ours: tuple[str, ...]) -> Json:
    records: set[str] = set()
    folders: set[str] = set()
    for part in files(corpus.format, corpus.path):
        if is_remote(part.file) or os.path.isfile(part.file):
            records.add(part.file)
        if part.images and ".tar!" not in part.images:
            folders.add(part.images.rstrip("/"))
    for file in sorted(records):
        if any(resolved(file).startswith(f"{folder}/") for folder in ours):
            raise UserError(
                f"{corpus.format}:{corpus.path} has {file}, which a run has written: choose an --output and a --work "
                "outside of the corpus"
            )
    folders = {folder for folder in folders if exists(folder)}
    apart = sorted(folder for folder in folders if folders.isdisjoint(_above(folder)))
    images = (image for folder in apart for image in _below(folder, ours) if image[0] not in records)
    found = itertools.chain(((path, None) for path in sorted(records)), images)
    root, digest, count, size = root_of(corpus.path), hashlib.sha256(), 0, 0
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        while some := list(itertools.islice(found, TOGETHER)):  # millions of images are never all in memory
            for (path, _), entry in zip(some, pool.map(lambda file: _entry(root, *file), some), strict=True):
                if not entry[1] and path in records:  # a file without a record
                    continue
                digest.update(f"{json.dumps(entry)}\n".encode())
                count, size = count + 1, size + entry[1]
    return {
        "corpus": f"{corpus.format}:{corpus.path}",
        "files": count,
        "bytes": size,
        "sha256": digest.hexdigest(),
    }


def _above(folder: str) -> Iterator[str]:
    while (folder := os.path.dirname(folder)).strip("/"):
        yield folder


def _below(folder: str, ours: tuple[str, ...]) -> Iterator[tuple[str, int | None]]:
    """The regular files of a tree, except hidden ones, with their size if the store has stated it; in a fixed order."""
    if is_remote(folder):
        for path, size, _ in described(f"{folder.rstrip('/')}/"):
            if not any(path.startswith(f"{own}/") for own in ours):
                yield path, size
        return
    for at, folders, names in tree(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.realpath(f"{at}/{name}") not in ours
        )
        for name in sorted(names):
            path = os.path.join(at, name)
            if not name.startswith(".") and os.path.isfile(path) and is_inside(path, (folder,)):
                yield path, None


def _entry(root: str, path: str, size: int | None) -> Entry:
    name = spelt(os.path.normpath(path).removeprefix(os.path.normpath(root)).lstrip("/")) if root else spelt(path)
    if size is not None:
        return name, size, ""
    if is_remote(path):
        return next(
            ((name, bytes_, checksum) for found, bytes_, checksum in described(path) if found == path), (name, 0, "")
        )
    digest, size = hashlib.sha256(), 0
    with open_bytes(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return name, size, digest.hexdigest()
