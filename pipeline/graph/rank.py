"""A global order that is the same in every run: records sorted by a salted hash of their id."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsSingleton
from apache_beam.transforms.window import GlobalWindows

from pipeline.graph.grouping import Disk, Group
from schemas.codec import rank_of


class RankByHash(beam.PTransform[Any, Any]):
    """Records -> (rank, record), with ranks 0, 1, 2 ... in the order of the salted hash of each record's id.

    The records are in one PCollection or in a tuple of them; `id_of` gives the id of one. Ids must be distinct. `disk`:
    see `grouping`.
    """

    def __init__(self, salt: str, id_of: Callable[[Any], str], disk: Disk | None = None):
        super().__init__()
        self.salt, self.id_of, self.disk = salt, id_of, disk

    def expand(
        self, records: beam.PCollection[Any] | tuple[beam.PCollection[Any], ...]
    ) -> beam.PCollection[tuple[int, Any]]:
        several = records if isinstance(records, tuple) else (records,)
        buckets = tuple(
            one | f"Hash {at}" >> beam.Map(_hashed, self.salt, self.id_of) for at, one in enumerate(several)
        )
        counts = (
            [one | f"Count {at}" >> beam.ParDo(_Count()) for at, one in enumerate(buckets)]  # type: ignore[no-untyped-call]
            | "Counts" >> beam.Flatten()
            | "Sum" >> beam.CombinePerKey(sum)
        )
        pipeline = several[0].pipeline
        offsets = pipeline | "Once" >> beam.Create([None]) | "Offsets" >> beam.Map(_offsets, AsDict(counts))
        ranked: beam.PCollection[tuple[int, Any]] = (
            buckets | "Group" >> Group(self.disk) | "Rank" >> beam.FlatMap(_rank, AsSingleton(offsets))
        )
        return ranked


def _hashed(record: Any, salt: str, id_of: Callable[[Any], str]) -> tuple[int, tuple[bytes, Any]]:
    """(bucket, (hash, record)); the bucket is the first byte of the hash."""
    hashed = rank_of(id_of(record), salt)
    return hashed[0], (hashed, record)


class _Count(beam.DoFn):
    """Counts the records of each bucket; a combiner would need them all in one PCollection."""

    def start_bundle(self) -> None:
        self.counts: collections.Counter[int] = collections.Counter()

    def process(self, record: tuple[int, Any]) -> None:
        self.counts[record[0]] += 1

    def finish_bundle(self) -> Iterator[Any]:
        yield from map(GlobalWindows.windowed_value, self.counts.items())


def _offsets(_: None, counts: dict[int, int]) -> dict[int, int]:
    offsets, total = {}, 0
    for bucket in sorted(counts):
        offsets[bucket] = total
        total += counts[bucket]
    return offsets


def _rank(bucket: tuple[int, Iterable[tuple[bytes, Any]]], offsets: dict[int, int]) -> Iterator[tuple[int, Any]]:
    number, records = bucket
    ordered = sorted(records, key=lambda hashed: hashed[0])
    for (one, _), (two, _) in itertools.pairwise(ordered):
        if one == two:
            raise ValueError("two records have the same id")
    for i, (_, record) in enumerate(ordered):
        yield offsets[number] + i, record
