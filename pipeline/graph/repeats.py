"""Finds duplicates by id, by text, and near-duplicates by text. Only ids, locations and digests are grouped."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from filters import near_duplicates
from pipeline.graph.grouping import Disk, Group, Join
from pipeline.graph.union import Components

ID_TAKEN = "id_taken"


@dataclasses.dataclass(frozen=True)
class Identity:
    """What is needed of a document to find its duplicates.

    `signature` is empty if near-duplicates are not looked for. `corpus` is the corpus's number in the configuration.
    """

    id: str
    location: str
    digest: str
    signature: bytes = b""
    corpus: int = 0

    @property
    def place(self) -> Place:
        """What documents are put in order by."""
        return self.corpus, self.location


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A document that repeats another one, `first`, and is dropped by `rule`.

    id_taken: a document of an earlier corpus has this id, and another text. For it, duplicate_id and duplicate_text,
    `value` is the number of all documents with the id or text, the first one included; copies of a text are counted
    among the documents that do not repeat an id. near_duplicate_text: `value` is the similarity to the document by
    which it was found.
    """

    rule: str
    value: float
    first: str
    threshold: float = 1.0


class Repeats(beam.PTransform[Any, Any]):
    """Identity -> (location, Repeat) for every document that repeats an earlier one.

    Earlier is by corpus, as the configuration names them, then by file name and line, whichever worker reads it. First
    by id; then by text among the documents that are left; then by near-duplicate text among those that are left. In
    this order, because otherwise a text would be lost if its first document is dropped because of its id.

    `text_at_least` is the similarity from which texts are near-duplicates; None: near-duplicates are not looked for.
    `disk`: see `grouping`.
    """

    def __init__(self, text_at_least: float | None = None, disk: Disk | None = None):
        super().__init__()
        self.text_at_least, self.disk = text_at_least, disk

    def expand(self, identities: beam.PCollection[Identity]) -> beam.PCollection[tuple[str, Repeat]]:
        ids = (
            identities
            | "By id" >> beam.Map(lambda i: (i.id, i))
            | "Group ids" >> Group(self.disk)
            | "Same id" >> beam.FlatMap(_same_id).with_outputs(_FIRST, main="repeats")
        )
        texts = (
            ids[_FIRST]
            | "By text" >> beam.Map(lambda i: (i.digest, i))
            | "Group texts" >> Group(self.disk)
            | "Same text" >> beam.FlatMap(_same_text).with_outputs(_FIRST, main="repeats")
        )
        found = [ids["repeats"], texts["repeats"]]
        if self.text_at_least is not None:
            found.append(texts[_FIRST] | "Near repeats" >> NearRepeats(self.text_at_least, self.disk))
        repeats: beam.PCollection[tuple[str, Repeat]] = found | beam.Flatten()
        return repeats


class NearRepeats(beam.PTransform[Any, Any]):
    """Identity -> (location, Repeat) for every near-duplicate but the first of each set.

    The documents of a set are linked directly or through documents between them.

    In each group of documents that agree in a band, all are compared with the first one, so the cost of a group grows
    with its size only. For each document, 25 keys of 21 bytes are shuffled, and its signature of 512 bytes twice.
    """

    def __init__(self, at_least: float, disk: Disk | None = None):
        super().__init__()
        self.at_least, self.disk = at_least, disk

    def expand(self, identities: beam.PCollection[Identity]) -> beam.PCollection[tuple[str, Repeat]]:
        at_least = self.at_least
        by_location = identities | "By location" >> beam.Map(lambda i: (i.location, i))
        pairs = (
            identities
            | "Bands" >> beam.FlatMap(lambda i: ((band, i.place) for band in near_duplicates.bands(i.signature)))
            | "Group bands" >> Group(self.disk)
            | "Pair with the first" >> beam.FlatMap(_pairs)
        )
        with_first = (
            (by_location, pairs) | "Find the firsts" >> Join(self.disk) | "By the other" >> beam.FlatMap(_with_first)
        )
        links = (
            (by_location, with_first)
            | "Find the others" >> Join(self.disk)
            | "Compare" >> beam.FlatMap(_compare, at_least)
        )
        repeats: beam.PCollection[tuple[str, Repeat]] = (
            links
            | "Connect" >> beam.CombineGlobally(Components(_order))
            | "Name the first" >> beam.FlatMap(_near, at_least)
        )
        return repeats


def place_order(location: str) -> tuple[str, int, str]:
    """The sort key of a location, `file:12#3`: line 9 comes before line 12."""
    found = re.fullmatch(r"(.*):(\d+)(.*?)", location, re.S)
    if found is None:
        raise ValueError(f"{location!r} is no location: a reader's has the form file:line")
    return found[1], int(found[2]), found[3]


Place = tuple[int, str]
"""The number of a corpus, and a location in it."""

_FIRST = "first"


def _order(place: Place) -> tuple[int, str, int, str]:
    return place[0], *place_order(place[1])


def _sorted(group: Iterable[Identity]) -> list[Identity]:
    return sorted(group, key=lambda identity: _order(identity.place))


def _same_id(group: tuple[str, Iterable[Identity]]) -> Iterator[Any]:
    """The first of those with an id is tagged, the others are repeats."""
    first, *others = _sorted(group[1])
    yield beam.pvalue.TaggedOutput(_FIRST, first)
    for other in others:
        taken = other.corpus != first.corpus and other.digest != first.digest
        yield other.location, Repeat(ID_TAKEN if taken else "duplicate_id", 1.0 + len(others), first.id)


def _same_text(group: tuple[str, Iterable[Identity]]) -> Iterator[Any]:
    """The first of those with a text is tagged, the others are repeats."""
    first, *others = _sorted(group[1])
    yield beam.pvalue.TaggedOutput(_FIRST, first)
    for other in others:
        yield other.location, Repeat("duplicate_text", 1.0 + len(others), first.id)


def _pairs(group: tuple[bytes, Iterable[Place]]) -> Iterator[tuple[str, Place]]:
    """The pairs (first location, other place) of all documents that share a band, once for each shared band."""
    first, *others = sorted(group[1], key=_order)
    yield from ((first[1], other) for other in others)


def _with_first(group: tuple[str, tuple[Iterable[Identity], Iterable[Place]]]) -> Iterator[tuple[str, Identity]]:
    """The pairs (other location, the first document), each once."""
    [first], others = group[1]
    yield from ((other[1], first) for other in others)


Link = tuple[Place, Place, float, str]
"""Place of a document, of the one before it, their similarity, and the id of the latter."""


def _compare(group: tuple[str, tuple[Iterable[Identity], Iterable[Identity]]], at_least: float) -> Iterator[Link]:
    [other], firsts = group[1]
    for first in firsts:
        similarity = round(near_duplicates.similarity(first.signature, other.signature), 4)
        if similarity >= at_least:
            yield other.place, first.place, similarity, first.id


def _near(components: dict[Place, tuple[Place, float, str]], at_least: float) -> Iterator[tuple[str, Repeat]]:
    for (_, location), (_, similarity, first) in components.items():
        yield location, Repeat("near_duplicate_text", similarity, first, at_least)
