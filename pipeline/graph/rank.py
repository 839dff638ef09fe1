"""A global order that is the same in every run: records sorted by a salted hash of their id."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsSingleton

from schemas.codec import rank_of


class RankByHash(beam.PTransform[Any, Any]):
    """(id, record) -> (rank, record), with ranks 0, 1, 2 ... in the order of the salted hash; ids must be distinct."""

    def __init__(self, salt: str):
        super().__init__()
        self.salt = salt

    def expand(self, records: beam.PCollection[tuple[str, Any]]) -> beam.PCollection[tuple[int, Any]]:
        salt = self.salt
        buckets = records | "Hash" >> beam.Map(
            lambda kv: (rank_of(kv[0], salt)[0], (rank_of(kv[0], salt), kv[1]))
        ).with_output_types(tuple[int, tuple[bytes, object]])
        counts = buckets | "Count" >> beam.combiners.Count.PerKey()
        offsets = records.pipeline | beam.Create([None]) | "Offsets" >> beam.Map(_offsets, AsDict(counts))
        ranked: beam.PCollection[tuple[int, Any]] = (
            buckets | beam.GroupByKey() | "Rank" >> beam.FlatMap(_rank, AsSingleton(offsets))
        )
        return ranked


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
