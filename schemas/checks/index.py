"""Is the index whole, in order, and in agreement with the manifest?"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import index_rows, index_schema
from schemas.codec import Json, key_of, rank_of
from schemas.defects import READ_ERRORS, Defect
from schemas.index import IndexRow

FILE = "index.parquet"
BATCH = 4096
Counts = collections.Counter[str]


def check(folder: pathlib.Path, manifest: Json, places: dict[str, tuple[str, str]]) -> Iterator[Defect]:
    """One pass over the index. Fills `places`: id -> (shard, key), for the comparison with the ledger."""
    try:
        yield from _rows(folder / FILE, manifest, places)
    except FileNotFoundError:
        return  # files.check has said so
    except READ_ERRORS as error:
        yield Defect("index-unreadable", FILE, f"cannot be read as Parquet: {error}")


def rows_of(folder: pathlib.Path, manifest: Json, shard: str) -> dict[str, IndexRow] | None:
    """The rows of one shard by key; None where the index cannot be read (`check` says so)."""
    try:
        table = pq.read_table(folder / FILE, filters=[("shard", "=", shard)])
        return (
            {row.key: row for row in index_rows(table)}
            if table.schema.equals(index_schema(manifest["rating_aspects"]))
            else None
        )
    except READ_ERRORS:
        return None


def _rows(path: pathlib.Path, manifest: Json, places: dict[str, tuple[str, str]]) -> Iterator[Defect]:
    file = pq.ParquetFile(path)
    if not file.schema_arrow.equals(index_schema(manifest["rating_aspects"])):
        yield Defect("index-schema", FILE, "its columns are not those of schemas.arrow.index_schema")
        return
    shards: Counts = collections.Counter()
    tallies: dict[str, Counts] = {name: collections.Counter() for name in ("domains", "sources", "licenses")}
    members: set[str] = set()
    images, last = 0, ("", -1, b"")
    for batch in file.iter_batches(BATCH):
        for row in index_rows(pa.Table.from_batches([batch])):
            at = {"shard": row.shard, "key": row.key}
            if row.key != key_of(row.id):
                yield Defect("index-key", FILE, f"is not the key of {row.id!r}", **at, pointer="/key")
            here = (row.shard, row.json_offset, rank_of(row.id, manifest["salt"]))
            if row.id in places:
                yield Defect("index-duplicate", FILE, f"{row.id!r} is there twice", **at, pointer="/id")
            elif here[:2] <= last[:2] or here[2] <= last[2]:
                yield Defect("index-order", FILE, "stands in the wrong place", **at)
            if row.domain not in manifest["domains"]:
                yield Defect("domain", FILE, f"{row.domain!r} is not in the list of domains", **at, pointer="/domain")
            places[row.id], last = (row.shard, row.key), here
            shards[row.shard] += 1
            images += len(row.images)
            members.update(image.name for image in row.images)
            for name, value in (("domains", row.domain), ("sources", row.source), ("licenses", row.license)):
                tallies[name][value] += 1
    expected = {s["name"]: s["instances"] for s in manifest["shards"]}
    for shard in sorted(shards.keys() | expected.keys()):
        if shards[shard] != expected.get(shard, 0):
            yield Defect(
                "index-rows",
                FILE,
                f"has {shards[shard]} rows of a shard with {expected.get(shard, 0)} instances",
                shard=shard,
            )
    for name, tally in tallies.items():
        if tally != manifest["counts"][name]:
            yield Defect("counts", "manifest.json", "disagrees with the index", pointer=f"/counts/{name}")
    if images != manifest["counts"]["images"]:
        yield Defect("counts", "manifest.json", f"the index has {images} images", pointer="/counts/images")
    if sorted(members) != manifest["members"]:
        yield Defect("counts", "manifest.json", "disagrees with the index", pointer="/members")
