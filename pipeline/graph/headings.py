"""Which headings recur across a source's documents. Only keys of eight bytes and digests are grouped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from filters.headings import RECURS
from pipeline.graph.grouping import Disk, Group
from pipeline.graph.table import Table
from pipeline.graph.transforms import Stage
from schemas.records import ScoredDocument

HEADINGS = "headings"
"""The tag of the output of `reading.identify` with (key of a heading, digest of its document's text)."""


class Recurring(beam.PTransform[Any, Any]):
    """(key, digest) -> (key, RECURS) for headings of `RECURS` documents with different texts, or more.

    `disk`: see `grouping`.
    """

    def __init__(self, disk: Disk | None = None):
        super().__init__()
        self.disk = disk

    def expand(self, headings: beam.PCollection[tuple[bytes, str]]) -> beam.PCollection[tuple[bytes, int]]:
        counted: beam.PCollection[tuple[bytes, int]] = (
            headings
            | "Group headings" >> Group(self.disk)
            | "Count texts" >> beam.MapTuple(_count)
            | "Recur" >> beam.Filter(lambda pair: pair[1] >= RECURS)
        )
        return counted


def _count(key: bytes, digests: Iterable[str]) -> tuple[bytes, int]:
    """How many different ones there are, but no more than are asked for: a heading may be in every document."""
    found: set[str] = set()
    for digest in digests:
        found.add(digest)
        if len(found) == RECURS:
            break
    return key, len(found)


class TakeExcerpt(Stage):
    """The stage *Take excerpt*, which has to know the headings that recur."""

    def process(self, document: ScoredDocument, recurring: Table) -> Iterator[Any]:
        yield self.result(document, lambda: self.step((document, recurring)))
