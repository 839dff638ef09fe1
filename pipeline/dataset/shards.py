"""Writes shards, index, ledger and manifest; the same instances always give the same bytes."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import io
import itertools
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.files import open_bytes, replacing, write_bytes
from schemas import tar
from schemas.arrow import LEDGER, ROW_GROUP, index_rows, index_schema, index_table, outcome_table
from schemas.codec import Json, config_hash, manifest_bytes
from schemas.index import IndexRow, Member, index_row
from schemas.jsonschema import FORMAT_VERSION
from schemas.outcome import Outcome
from schemas.records import Provenance

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Sample = tuple[bytes, Json, Iterable[tuple[str, bytes]]]
"""An instance as canonical JSON, the same as a dict, and its images as (member name, file bytes) in reading order."""

Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """A written shard: `bytes` and `sha256` are those of the tar file."""

    name: str
    instances: int
    bytes: int
    sha256: str
    rows: tuple[IndexRow, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A written Parquet file: the index or a part of the ledger."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts over the index, and the names of all image members that occur."""

    instances: int
    images: int
    domains: dict[str, int]
    sources: dict[str, int]
    licenses: dict[str, int]
    members: tuple[str, ...]


class Hashed(io.RawIOBase):
    """A file that is written sequentially; it has its size and sha256 at the end."""

    def __init__(self, file: BinaryIO):
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        size = memoryview(data).nbytes
        self._file.write(data)
        self._hash.update(data)
        self.size += size
        return size

    def tell(self) -> int:
        return self.size

    @property
    def sha256(self) -> str:
        """The hash (hex) of what was written so far."""
        return self._hash.hexdigest()


@contextlib.contextmanager
def hashed(path: str) -> Iterator[Hashed]:
    """Write to a file atomically (`storage.files.replacing`), and compute its size and sha256."""
    with replacing(path) as file:
        yield Hashed(file)


def write_shard(path: str, samples: Iterable[Sample]) -> ShardResult:
    """Write one shard of samples, in the order given; one sample is in memory at a time."""
    name = posixpath.basename(path)
    with hashed(path) as file:
        rows = tar_shard(file, name, samples)
    return ShardResult(name, len(rows), file.size, file.sha256, tuple(rows))


def tar_shard(file: tar.Writable, name: str, samples: Iterable[Sample]) -> list[IndexRow]:
    """Write samples to a file object as the shard `name`; returns the index rows of its instances."""
    rows = []
    for data, instance, images in samples:
        key = instance["key"]
        json_offset = tar.add(file, f"{key}.json", data)
        members = tuple(Member(member, tar.add(file, f"{key}.{member}", image), len(image)) for member, image in images)
        rows.append(index_row(instance, name, json_offset, len(data), members))
    tar.finish(file)
    return rows


def write_index(rows: Iterable[IndexRow], aspects: Iterable[str], path: str) -> Table:
    """Write the index; `rows` are in the order of shard and offset. Raises ValueError if they are not."""
    aspects = tuple(aspects)
    tables = (index_table(batch, aspects) for batch in _batches(_in_order(rows)))
    return _write_parquet(tables, index_schema(aspects), path)


def write_ledger(outcomes: Iterable[Outcome], path: str) -> Table:
    """Write one part of the ledger, in the order given."""
    return _write_parquet(map(outcome_table, _batches(outcomes)), LEDGER, path)


def read_index(path: str) -> Iterator[IndexRow]:
    """The rows of an index, one batch in memory at a time."""
    with open_bytes(path) as file:
        for batch in pq.ParquetFile(file).iter_batches(ROW_GROUP):
            yield from index_rows(pa.Table.from_batches([batch]))


def count(rows: Iterable[IndexRow]) -> Counts:
    """The counts over the rows of an index, in one pass."""
    instances = images = 0
    domains: collections.Counter[str] = collections.Counter()
    sources: collections.Counter[str] = collections.Counter()
    licenses: collections.Counter[str] = collections.Counter()
    members: set[str] = set()
    for row in rows:
        instances += 1
        images += len(row.images)
        domains[row.domain] += 1
        sources[row.source] += 1
        licenses[row.license] += 1
        members.update(image.name for image in row.images)
    return Counts(instances, images, dict(domains), dict(sources), dict(licenses), tuple(sorted(members)))


def manifest(
    *,
    name: str,
    provenance: Provenance,
    libraries: Mapping[str, str],
    config: Mapping[str, Any],
    domains: Sequence[str],
    rating_aspects: Mapping[str, str],
    salt: str,
    shard_size: int,
    shards: Iterable[ShardResult],
    counts: Counts,
    index: Table,
    ledger: Iterable[Table],
    funnel: Mapping[str, Any],
    inputs: Iterable[Json] = (),
) -> Json:
    """What a folder contains and what made it; it does not depend on time, machine or number of workers.

    It has no `files` yet, because some of them are made from it: see `with_files`.

    provenance: as in every instance; its `config` is `config_hash(config)`. libraries: name -> version of those that
    the bytes depend on. domains: the closed list. rating_aspects: name -> what it measures. counts: of the index.
    funnel: input, kept, dropped (rule -> count), failed (error -> count). inputs: fingerprints of the corpora.
    """
    return {
        "format": "leafinstruct",
        "format_version": FORMAT_VERSION,
        "name": name,
        "provenance": dataclasses.asdict(provenance),
        "libraries": dict(libraries),
        "config": dict(config),
        "config_hash": config_hash(config),
        "domains": list(domains),
        "rating_aspects": dict(rating_aspects),
        "salt": salt,
        "shard_size": shard_size,
        "counts": {k: v for k, v in dataclasses.asdict(counts).items() if k != "members"},
        "members": list(counts.members),
        "shards": [
            {"name": s.name, "instances": s.instances, "bytes": s.bytes, "sha256": s.sha256}
            for s in sorted(shards, key=lambda s: s.name)
        ],
        "index": dataclasses.asdict(index),
        "ledger": [dataclasses.asdict(part) for part in ledger],
        "funnel": {
            "input": funnel["input"],
            "kept": funnel["kept"],
            "dropped": dict(funnel["dropped"]),
            "failed": dict(funnel["failed"]),
        },
        "inputs": list(inputs),
    }


def with_files(manifest: Json, files: Mapping[str, bytes]) -> Json:
    """The manifest with size and sha256 of the other files that depend on the input only. `files`: name -> content."""
    return manifest | {
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        }
    }


def run_record(manifest: Json, files: Mapping[str, bytes]) -> Json:
    """The content of run.json: sha256 of the manifest, size and sha256 of the files that differ from run to run."""
    digest = hashlib.sha256(manifest_bytes(manifest)).hexdigest()
    return with_files({"format": "leafinstruct-run", "manifest": digest}, files)


def write_manifest(manifest: Json, folder: str) -> None:
    """Write manifest.json atomically; it is the last file, and its existence says that the rest is complete."""
    write_bytes(f"{folder}/manifest.json", manifest_bytes(manifest))


def _in_order(rows: Iterable[IndexRow]) -> Iterator[IndexRow]:
    last = ("", -1)
    for row in rows:
        place = (row.shard, row.json_offset)
        if place <= last:
            raise ValueError(f"index rows are out of order: {place} after {last}")
        last = place
        yield row


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, ROW_GROUP)):
        yield batch


def _write_parquet(tables: Iterable[pa.Table], schema: pa.Schema, path: str) -> Table:
    """Write a Parquet file with every setting that its bytes depend on.

    They also depend on pyarrow's version, which is pinned.
    """
    count = 0
    with hashed(path) as file:
        with pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=3,
            use_dictionary=True,
            write_statistics=True,
        ) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP)
                count += len(table)
    return Table(posixpath.basename(path), count, file.size, file.sha256)
