"""Checks that the index is complete, ordered and consistent with itself, the manifest and the sizes of the shards."""

from __future__ import annotations

import collections
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from schemas import tar
from schemas.arrow import index_rows, index_schema
from schemas.checks import parquet
from schemas.checks.rules import threshold
from schemas.codec import Json, key_of, rank_of
from schemas.defects import READ_ERRORS, Defect
from schemas.folder import Folder
from schemas.index import IndexRow

FILE = "index.parquet"
STEP = 1000
RANGES = {"coherence": 1.0, "margin": 2.0, "recall_at_1": 1.0}

Counts = collections.Counter[str]


def read(folder: Folder, manifest: Json) -> Iterator[Defect | tuple[bytes, IndexRow]]:
    """The rows of the index in one pass, each with its salted hash, and their defects."""
    try:
        with folder.open(FILE) as file:
            yield from _rows(parquet.Reader(file, index_schema(manifest["rating_aspects"])), manifest)
    except parquet.WrongSchema:
        yield Defect("index-schema", FILE, "its columns are not those of schemas.arrow.index_schema")
    except parquet.WrongForm as error:
        yield Defect("index-form", FILE, str(error))
    except READ_ERRORS as error:
        yield Defect("index-unreadable", FILE, f"cannot be read as Parquet: {error}")


def rows_of(folder: Folder, manifest: Json, shard: str) -> dict[str, IndexRow] | None:
    """The rows of one shard by key; None if the index cannot be read, which `read` reports."""
    found: dict[str, IndexRow] = {}
    try:
        with folder.open(FILE) as file:
            reader = parquet.Reader(file, index_schema(manifest["rating_aspects"]))
            column = reader.metadata.schema.names.index("shard")
            for number in range(reader.metadata.num_row_groups):
                statistics = reader.metadata.row_group(number).column(column).statistics
                if (
                    statistics is None
                    or not statistics.has_min_max
                    or str(statistics.min) <= shard <= str(statistics.max)
                ):
                    table = reader.group(number)
                    of_shard = table.filter(pc.equal(table["shard"], pa.scalar(shard)))
                    found |= {row.key: row for row in index_rows(of_shard)}
    except READ_ERRORS:
        return None
    return found


def _rows(reader: parquet.Reader, manifest: Json) -> Iterator[Defect | tuple[bytes, IndexRow]]:
    place, last = _Place(manifest), b""
    domains = frozenset(manifest["domains"])
    shards: Counts = collections.Counter()
    tallies: dict[str, Counts] = {name: collections.Counter() for name in ("domains", "sources", "licenses")}
    members: set[str] = set()
    images = 0
    for table in reader.groups():
        for start in range(0, len(table), STEP):
            for row in index_rows(table.slice(start, STEP)):
                rank = rank_of(row.id, manifest["salt"])
                if row.key != key_of(row.id):
                    yield _defect(row, "index-key", f"is not the key of {row.id!r}", "/key")
                if rank == last:
                    yield _defect(row, "index-duplicate", f"{row.id!r} is there twice", "/id")
                elif rank < last:
                    yield _defect(row, "index-order", "comes too late: its salted hash is lower than the one before it")
                if row.domain not in domains:
                    yield _defect(row, "domain", f"{row.domain!r} is not in the list of domains", "/domain")
                yield from place.check(row)
                yield from _values(row, manifest["config"])
                yield rank, row
                last = rank
                shards[row.shard] += 1
                images += len(row.images)
                members.update(image.name for image in row.images)
                for name, value in (("domains", row.domain), ("sources", row.source), ("licenses", row.license)):
                    tallies[name][value] += 1
    yield from place.end()
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


class _Place:
    """Checks the offsets of the rows.

    The files of a tar follow each other, so their sizes decide where each begins and how large the tar is.
    """

    def __init__(self, manifest: Json):
        self._bytes = {s["name"]: s["bytes"] for s in manifest["shards"]}
        self._shard, self._starts = "", {0}  # several, once a row is not where it has to be

    def check(self, row: IndexRow) -> Iterator[Defect]:
        if row.shard != self._shard:
            yield from self.end()
            if row.shard < self._shard:
                yield _defect(row, "index-order", f"stands behind the rows of {self._shard}", "/shard")
            self._shard, self._starts = row.shard, {0}
        sizes = [row.json_size, *(image.size for image in row.images)]
        offsets = [row.json_offset, *(image.offset for image in row.images)]
        start = row.json_offset - tar.BLOCK
        follow = [start := start + tar.room(size) for size in sizes]
        if (
            min(sizes) <= 0
            or row.json_offset - tar.BLOCK not in self._starts
            or offsets[1:] != [at + tar.BLOCK for at in follow[:-1]]
        ):
            yield _defect(row, "index-place", "does not lie where a tar has it", "/json_offset")
            whole = sum(map(tar.room, sizes))
            self._starts = {at + whole for at in self._starts}
        else:
            self._starts = set()
        self._starts = {*list(self._starts)[:2], follow[-1]}

    def end(self) -> Iterator[Defect]:
        """Check the size of the shard whose last row has been read."""
        if self._shard in self._bytes and self._bytes[self._shard] not in map(tar.length, self._starts):
            yield Defect(
                "index-place",
                FILE,
                f"leads to another end than that of a shard of {self._bytes[self._shard]} bytes",
                shard=self._shard,
            )


def _values(row: IndexRow, config: Json) -> Iterator[Defect]:
    """Check counts, names of images and scores, also against the thresholds of the configuration."""
    count = row.n_context_images + row.n_output_images
    if row.n_output_texts < 1 or row.n_output_images < 1 or min(row.n_context_texts, row.n_context_images) < 0:
        yield _defect(row, "index-value", "counts an output without a text or without an image", "/n_output_texts")
    if len(row.images) != count or [i.name[:3] for i in row.images] != [f"{i:02d}." for i in range(len(row.images))]:
        yield _defect(row, "index-value", f"names other images than 00 to {count - 1:02d}", "/images")
    for name, most in RANGES.items():
        value = getattr(row, name)
        low = 0.0 if name == "recall_at_1" else -most
        if value is not None and not (low <= value <= most and round(value, 4) == value):
            yield _defect(
                row, "index-value", f"is {value}; it is from {low:g} to {most:g}, with 4 decimals", f"/{name}"
            )
    if (row.margin is None) != (row.recall_at_1 is None):
        yield _defect(row, "index-value", "margin and recall_at_1 are null together", "/margin")
    ratings = row.ratings.values()
    if not all(1 <= rating <= 5 and round(rating, 4) == rating for rating in ratings):
        yield _defect(row, "index-value", "a rating is from 1 to 5, with 4 decimals", "/ratings")
    least = (
        (row.coherence, "/coherence", threshold(config, "coherence", "mean_at_least")),
        (row.margin, "/margin", threshold(config, "coherence", "margin_at_least")),
        (min(ratings), "/ratings", threshold(config, "ratings", "lowest_at_least")),
        (round(sum(ratings) / len(ratings), 6), "/ratings", threshold(config, "ratings", "mean_at_least")),
    )
    for value, pointer, limit in least:
        if value is not None and limit is not None and value < limit:
            yield _defect(row, "threshold", f"is {value}; the configuration keeps from {limit} on", pointer)
    most_images = threshold(config, "excerpt", "max_images")
    if most_images is not None and count > most_images:
        yield _defect(row, "threshold", f"has {count} images; the configuration allows {most_images:g}", "/images")


def _defect(row: IndexRow, kind: str, message: str, pointer: str = "") -> Defect:
    return Defect(kind, FILE, message, row.shard, row.key, pointer)
