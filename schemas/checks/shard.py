"""What a shard holds: whole samples, each once, in the order of the salted hash. One pass, one sample in memory."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator

from schemas.checks import files, index, sample
from schemas.checks.tarball import Entry, Problem, Reader, entries
from schemas.codec import Json, rank_of
from schemas.defects import Defect


def check(folder: pathlib.Path, manifest: Json) -> Iterator[Defect]:
    """All shards, and that order and uniqueness hold over all of them."""
    keys: set[str] = set()
    last = b""
    for shard in manifest["shards"]:
        for found in _read(folder, shard, manifest):
            if isinstance(found, Defect):
                yield found
                continue
            key, id_ = found
            at = {"file": f"shards/{shard['name']}", "shard": shard["name"], "key": key}
            if key in keys:
                yield Defect("duplicate-key", message="is there twice", **at)
            elif id_ is not None:
                rank = rank_of(id_, manifest["salt"])
                if rank < last:
                    yield Defect(
                        "order",
                        message="comes too late: its salted hash is lower than the one before it",
                        pointer="/id",
                        **at,
                    )
                last = rank
            keys.add(key)


def _read(folder: pathlib.Path, shard: Json, manifest: Json) -> Iterator[Defect | tuple[str, str | None]]:
    """The defects of one shard, and the key and id (None if unreadable) of each of its samples."""
    name, file_name = shard["name"], f"shards/{shard['name']}"
    rows = index.rows_of(folder, manifest, name)
    found: set[str] = set()
    count, readable = 0, True
    try:
        with open(folder / file_name, "rb") as file:
            reader = Reader(file)
            for key, entries_of_key in itertools.groupby(entries(reader), key=lambda entry: entry.key):
                group = list(entries_of_key)
                for problem in group:
                    if isinstance(problem, Problem):
                        yield Defect(problem.kind, file_name, problem.message, name, problem.key)
                        readable &= problem.kind not in ("tar-truncated", "tar-broken")
                members = [entry for entry in group if isinstance(entry, Entry)]
                if members and readable:
                    count += 1
                    found.add(key)
                    id_, defects = sample.check(members, name, manifest, rows)
                    yield from defects
                    yield key, id_
            digest = reader.finish()
    except FileNotFoundError:
        return  # files.check has said so
    except OSError as error:
        yield Defect("file-unreadable", file_name, str(error), name)
        return
    if digest != shard["sha256"]:
        yield files.sha256_defect(file_name, digest, shard["sha256"])
    if readable and count != shard["instances"]:
        yield Defect("shard-size", file_name, f"holds {count} samples; the manifest says {shard['instances']}", name)
    if readable and rows is not None:
        for key in sorted(rows.keys() - found):
            yield Defect("index-extra", index.FILE, "has a row, but the shard has no such sample", name, key)
