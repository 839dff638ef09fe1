"""Checks that all listed files exist, are complete and of the right kind, and that there are no others."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator

from schemas.checks import manifest as manifests
from schemas.checks import run as runs
from schemas.codec import Json
from schemas.defects import Defect
from schemas.folder import DIRECTORY, FILE, LINK, Folder, Found
from schemas.jsonschema import OF_RUN

LEFT_ALONE = {".work", ".staging", ".lease", ".git", ".gitattributes", ".cache"}
"""Names that are not checked: an unfinished run, caches, the lease of a run, and version control (`.gitattributes` and `.cache` come with a
download from a hub)."""

MOST_ENTRIES = 250_000
BLOCK = 1 << 20


def listed(manifest: Json, run: Json | None = None) -> dict[str, Json]:
    """Every file with a checksum in the manifest or in run.json: its path in the folder -> its entry."""
    found: dict[str, Json] = {f"shards/{s['name']}": s for s in manifest["shards"]}
    found |= {"index.parquet": manifest["index"]} | {f"ledger/{p['name']}": p for p in manifest["ledger"]}
    found |= manifest["files"]
    if run:
        found |= run["files"]
    return found


def entries(folder: Folder) -> list[Found]:
    """Everything in the folder itself and in shards/ and ledger/, sorted by name; other subfolders are not opened."""
    return sorted(itertools.islice(_walk(folder), MOST_ENTRIES), key=lambda found: found.name)


def check(found: list[Found], expected: dict[str, Json]) -> Iterator[Defect]:
    """Check presence, kind and size of all listed files, and that there is nothing else."""
    yield from _kinds(found, expected)
    sizes = {entry.name: entry.size if entry.kind == FILE else -1 for entry in found}
    for name, entry in expected.items():
        if name not in sizes:
            yield Defect("file-missing", name, "is listed but not there", shard=_shard(name))
        elif sizes[name] not in (entry["bytes"], -1):
            yield Defect(
                "file-size", name, f"has {sizes[name]} bytes; {_list(name)} says {entry['bytes']}", shard=_shard(name)
            )
    if len(found) == MOST_ENTRIES:
        yield Defect("file-stray", "", f"there are {MOST_ENTRIES:,} files and more")


def check_sha256(folder: Folder, expected: dict[str, Json], names: Iterable[str]) -> Iterator[Defect]:
    """Check the sha256 of these files, except those of a wrong size, which `check` reports."""
    for name in names:
        entry, digest, size = expected[name], hashlib.sha256(), 0
        try:
            with folder.open(name) as file:
                while size <= entry["bytes"] and (block := file.read(BLOCK)):
                    digest.update(block)
                    size += len(block)
        except OSError as error:
            yield unreadable(name, error)
            continue
        if size == entry["bytes"] and digest.hexdigest() != entry["sha256"]:
            yield sha256_defect(name, digest.hexdigest(), entry["sha256"])


def sha256_defect(name: str, digest: str, expected: str) -> Defect:
    """The defect of a file whose hash is not the one that is listed."""
    return Defect("file-sha256", name, f"has the sha256 {digest}; {_list(name)} says {expected}", shard=_shard(name))


def unreadable(name: str, error: Exception) -> Defect:
    """The defect of a file that exists but cannot be read."""
    reason = getattr(error, "strerror", None) or str(error)
    return Defect("file-unreadable", name, f"cannot be read: {reason}", shard=_shard(name))


def _walk(folder: Folder) -> Iterator[Found]:
    for found in folder.entries():
        yield found
        if found.kind == DIRECTORY and found.name in ("shards", "ledger"):
            yield from folder.entries(found.name)


def _kinds(entries: list[Found], expected: dict[str, Json]) -> Iterator[Defect]:
    """The entries that do not belong into the folder, by their name or their kind."""
    left_alone = {".gitattributes", ".lease"}
    files = expected.keys() | {manifests.FILE, runs.FILE, runs.SIGNATURE, *OF_RUN, *left_alone}
    folders = {"shards", "ledger"} | (LEFT_ALONE - left_alone)
    for found in entries:
        if found.name not in files | folders:
            yield Defect("file-stray", found.name, "is no file of the set")
        elif found.kind != (DIRECTORY if found.name in folders else FILE):
            what = {LINK: "a link", DIRECTORY: "a folder", FILE: "a file"}.get(found.kind, "a FIFO, socket or device")
            wanted = "a folder" if found.name in folders else "a regular file"
            yield Defect("file-type", found.name, f"is {what}, and has to be {wanted}", shard=_shard(found.name))


def _list(name: str) -> str:
    return runs.FILE if name in OF_RUN else "the manifest"


def _shard(name: str) -> str:
    return name.removeprefix("shards/") if name.startswith("shards/") else ""
