"""Checks a shard: complete samples, each once, in the order of the salted hash. One pass, one sample in memory."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from schemas.checks import files, index, sample
from schemas.checks.tarball import Entry, Reader, entries
from schemas.codec import Json, rank_of
from schemas.defects import MOST_DEFECTS, Defect
from schemas.folder import Folder


@dataclasses.dataclass(frozen=True)
class Result:
    """What was found in one shard.

    Its defects, the keys of its samples (10 bytes each), and the salted hashes of its first and last id, empty if no
    JSON could be read.
    """

    shard: str
    defects: tuple[Defect, ...] = ()
    keys: bytes = b""
    first: bytes = b""
    last: bytes = b""


def check(folder: Folder, shard: Json, manifest: Json) -> Result:
    """Check one shard (an entry of the manifest's `shards`). `manifest`: at least its `essentials`."""
    keys: dict[str, None] = {}
    first = last = b""
    defects: list[Defect] = []
    for found in _read(folder, shard, manifest):
        if len(defects) >= MOST_DEFECTS:
            break
        if isinstance(found, Defect):
            defects.append(found)
            continue
        key, id_ = found
        if key in keys:
            defects.append(_at("duplicate-key", "is there twice", shard["name"], key))
        elif id_ is not None:
            rank = rank_of(id_, manifest["salt"])
            if rank < last:
                defects.append(
                    _at(
                        "order",
                        "comes too late: its salted hash is lower than the one before it",
                        shard["name"],
                        key,
                        "/id",
                    )
                )
            first, last = first or rank, rank
        keys[key] = None
    return Result(shard["name"], tuple(defects), b"".join(map(bytes.fromhex, keys)), first, last)


def across(results: Iterable[Result]) -> Iterator[Defect]:
    """The defects of shards in their order, and those of order and uniqueness over all of them.

    Needs 10 bytes of memory for each instance.
    """
    keys, ends, names, last = bytearray(), [0], [], b""
    for result in results:
        yield from result.defects
        if result.first and result.first < last:
            yield _at("order", "the shard begins before the one before it ends", result.shard, result.keys[:10].hex())
        last = result.last or last
        keys += result.keys
        ends.append(len(keys) // 10)
        names.append(result.shard)
    every = np.frombuffer(keys, "S10")
    ordered = np.sort(every)
    for key in np.unique(ordered[1:][ordered[1:] == ordered[:-1]]):
        for place in np.flatnonzero(every == key)[1:].tolist():
            yield _at(
                "duplicate-key",
                "is there twice",
                names[bisect.bisect_right(ends, place) - 1],
                bytes(key).ljust(10, b"\0").hex(),
            )


def _read(folder: Folder, shard: Json, manifest: Json) -> Iterator[Defect | tuple[str, str | None]]:
    """The defects of one shard, and the key and id (None if unreadable) of each of its samples."""
    name, file_name = shard["name"], f"shards/{shard['name']}"
    rows = index.rows_of(folder, manifest, name)
    seen: set[str] = set()
    count, readable = 0, True
    try:
        with folder.open(file_name) as file:
            reader = Reader(file)
            for key, of_key in itertools.groupby(entries(reader), key=lambda entry: entry.key):
                members = []
                for found in of_key:
                    if isinstance(found, Entry):
                        members.append(found)
                    else:
                        yield Defect(found.kind, file_name, found.message, name, found.key)
                        readable &= found.kind not in ("tar-truncated", "tar-broken")
                if members and readable:
                    count += 1
                    seen.add(key)
                    id_, defects = sample.check(members, name, manifest, rows)
                    yield from defects
                    yield key, id_
            whole = reader.size == shard["bytes"]  # a wrong size is reported elsewhere
            digest = reader.finish() if whole else ""
    except OSError as error:
        yield files.unreadable(file_name, error)
        return
    if whole and digest != shard["sha256"]:
        yield files.sha256_defect(file_name, digest, shard["sha256"])
    if readable and count != shard["instances"]:
        yield Defect("shard-size", file_name, f"holds {count} samples; the manifest says {shard['instances']}", name)
    if readable and rows is not None:
        for key in sorted(rows.keys() - seen):
            yield Defect("index-extra", index.FILE, "has a row, but the shard has no such sample", name, key)


def _at(kind: str, message: str, shard: str, key: str, pointer: str = "") -> Defect:
    return Defect(kind, f"shards/{shard}", message, shard, key, pointer)
