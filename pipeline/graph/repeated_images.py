"""Finds the images that several documents have, by their hashes, in a separate pass over the corpora.

The pass reads the corpora once more, up to the stage *Store images*; images that it stored are neither fetched nor decoded
again. Only hashes, thumbnails, places and addresses are grouped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from filters import repeated_images as hashes
from filters.decontaminate import HASH_SIDE, image_hash
from filters.drop_images import drop_images
from filters.thumbnails import thumbnail
from pipeline import corpora
from pipeline.corpora.parts import Part
from pipeline.graph import failures, stages
from pipeline.graph.grouping import Disk, Group
from pipeline.graph.repeats import place_order
from pipeline.graph.table import AsTable, Table
from pipeline.graph.transforms import Stage, Step
from pipeline.graph.union import Components
from pipeline.graph.window import Window
from pipeline.run import Run, image_store, keep_tar_indexes
from pipeline.storage import packs
from schemas.errors import RecordFault, one_line
from schemas.records import Document, Drop, DroppedDocument, StoredDocument
from schemas.stage_names import COMPARE_IMAGES

REPEATED, RECURRING = "repeated_image", "recurring_image"
_COMPARED = 200  # of one key, each hash is compared with so many before it; more share a key only where images are flat


@dataclasses.dataclass(frozen=True)
class Seen:
    """An image of a document, where it was seen.

    inner: its hash without its edges; empty if near copies are not asked for. thumbnail, inner_thumbnail: as these
    hashes, and both empty if the part has the same file before: in a logo's group they would be as many as documents.
    """

    location: str
    id: str
    uri: str
    sha256: str
    hashed: bytes
    inner: bytes
    thumbnail: bytes = b""
    inner_thumbnail: bytes = b""
    corpus: int = 0  # its number in the configuration

    @property
    def order(self) -> tuple[Any, ...]:
        """The sort key: the order of the documents, then the image's address."""
        return self.corpus, *place_order(self.location), self.uri, self.sha256


def look(part: Part, run: Run, repeats: Table) -> Iterator[Seen]:
    """The images of the documents that reach *Store images* and pass it."""
    keep_tar_indexes(run)
    images, near = image_store(run, noting=True), bool(run.config.duplicates.image_distance)
    text, headers, store = stages.filter_text(run), stages.filter_headers(run, images), stages.store_images(run, images)
    window: Window[Document, Any] = Window(run.config.images.workers)
    known: dict[str, Seen] = {}
    with failures.recorded(run.failures, COMPARE_IMAGES, part.name):
        try:
            for record in corpora.read(part):
                if not isinstance(record, Document) or record.location in repeats:
                    continue
                if document := _passed(_passed(record, text), headers):
                    for _, found in window.add(document, store(document)):
                        yield from _seen(found, part.corpus, images, near, known)
            for _, found in window.drain():
                yield from _seen(found, part.corpus, images, near, known)
        finally:
            store.close()
        packs.flush()  # the notes, for other processes


def _passed(document: Document | None, step: Step[Document, Any]) -> Document | None:
    """The document after a step; None if it ends there."""
    try:
        found = step(document) if document else None
    except RecordFault:
        return None
    return found if isinstance(found, Document) else None


def _seen(found: Any, corpus: int, images: Any, near: bool, known: dict[str, Seen]) -> Iterator[Seen]:
    if isinstance(found, BaseException) and not isinstance(found, RecordFault):
        raise found
    if isinstance(found, StoredDocument):
        for image in found.images:
            if before := known.get(image.sha256):
                yield dataclasses.replace(before, location=found.location, id=found.id, uri=image.uri)
                continue
            opened = images.open(image.sha256, HASH_SIDE)
            inner = hashes.inner_hash(opened) if near else b""
            seen = Seen(found.location, found.id, image.uri, image.sha256, image_hash(opened), inner, corpus=corpus)
            known[image.sha256] = seen
            inner_small = hashes.inner_thumbnail(opened) if near else b""
            yield dataclasses.replace(seen, thumbnail=thumbnail(opened), inner_thumbnail=inner_small)


class RepeatedImages(beam.PTransform[Any, Any]):
    """Seen -> (location, {sha256: (Drop, detail)}) for every document that has images to lose.

    Two images are the same if their hashes differ in at most `distance` bits (None: in no bit) and their thumbnails
    agree, directly or through images between them; with a distance, also if those of one and the inner ones of the
    other do. An image in more than `in_at_most` documents (None: no limit) is removed from all of them. Of the other
    images, if `distance` is given, the first document keeps its copy, and the rows of the others name it.

    Hashes alone are connected first: under the 56 keys of each of the two nothing but these is shuffled. Thumbnails are
    compared within what they connect; an image that no other document's hash is near goes no further. `disk`: see
    `grouping`.
    """

    def __init__(self, distance: int | None, in_at_most: int | None, disk: Disk | None = None):
        super().__init__()
        self.distance, self.in_at_most, self.disk = distance, in_at_most, disk

    def expand(self, seen: beam.PCollection[Seen]) -> beam.PCollection[tuple[str, dict[str, tuple[Drop, str]]]]:
        distance, in_at_most = self.distance, self.in_at_most
        by_hash = seen | "By hash" >> beam.Map(lambda s: (s.hashed, s))
        if distance:
            same = (
                by_hash
                | "Hashes only" >> beam.MapTuple(lambda hashed, s: (hashed, s.inner))
                | "Group hashes" >> Group(self.disk)
                | "Each pair once" >> beam.FlatMapTuple(lambda hashed, inner: ((hashed, one) for one in set(inner)))
                | "Keys" >> beam.FlatMap(_keyed)
                | "Group keys" >> Group(self.disk)
                | "Compare hashes" >> beam.FlatMap(_links, distance)
                | "Connect hashes" >> beam.CombineGlobally(Components(lambda hashed: hashed))
                | "Name the lowest hash" >> beam.FlatMap(_lowest)
                | "Lowest hashes" >> AsTable()
            )
            by_hash = (  # grouped first, because the runner would keep all of them until `same` is known
                by_hash
                | "Group equal images" >> Group(self.disk)
                | "By the lowest hash" >> beam.FlatMap(_by_lowest, AsSingleton(same))
            )
        drops: beam.PCollection[tuple[str, dict[str, tuple[Drop, str]]]] = (
            by_hash
            | "Group images" >> Group(self.disk)
            | "Judge images" >> beam.FlatMap(_judged, distance, in_at_most)
            | "Group by document" >> Group(self.disk)
            | "As a table"
            >> beam.MapTuple(lambda location, found: (location, dict(sorted(found, key=lambda one: one[0]))))
        )
        return drops


def _keyed(pair: tuple[bytes, bytes]) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
    """(key, (hash that has the key, hash of the image)): both hashes of an image stand for it."""
    for hashed in dict.fromkeys(pair):
        yield from ((key, (hashed, pair[0])) for key in hashes.keys(hashed))


def _links(
    group: tuple[bytes, Iterable[tuple[bytes, bytes]]], distance: int
) -> Iterator[tuple[bytes, bytes, float, bytes]]:
    some = sorted(set(group[1]))
    for at, (hashed, one) in enumerate(some):
        for other_hashed, other in some[max(at - _COMPARED, 0) : at]:
            whole = hashed == one or other_hashed == other  # two images without their edges prove nothing
            if whole and one != other and hashes.distance(hashed, other_hashed) <= distance:
                before = min(one, other)
                yield max(one, other), before, 1.0, before


def _lowest(components: dict[bytes, tuple[bytes, float, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """(hash, the lowest of those connected to it), for every hash that is connected to another."""
    for one, (lowest, _, _) in components.items():
        yield one, lowest
    yield from ((lowest, lowest) for lowest in {lowest for lowest, _, _ in components.values()})


def _by_lowest(group: tuple[bytes, Iterable[Seen]], same: Table) -> Iterator[tuple[bytes, Seen]]:
    key, some = same.get(group[0]), list(group[1])
    if key is not None or any(one.location != some[0].location for one in some):
        yield from ((group[0] if key is None else key, one) for one in some)


def _judged(
    group: tuple[bytes, Iterable[Seen]], distance: int | None, in_at_most: int | None
) -> Iterator[tuple[str, tuple[str, tuple[Drop, str]]]]:
    for some in _same(group[1], distance or 0):
        first, documents = some[0], len({one.location for one in some})
        if documents == 1:
            continue
        detail = f"repeats {one_line(first.uri, 200)} of {first.id}"
        for one in some:
            if in_at_most is not None and documents > in_at_most:
                drop = Drop(RECURRING, float(documents), float(in_at_most))
                yield one.location, (one.sha256, (drop, "" if one.location == first.location else detail))
            elif distance is not None and one.location != first.location:
                bits = hashes.distance(one.hashed, first.hashed)
                yield one.location, (one.sha256, (Drop(REPEATED, float(bits), float(distance)), detail))


def _same(some: Iterable[Seen], distance: int) -> list[list[Seen]]:
    """The images, whose hashes are connected, divided into those that are the same; each in the order of documents."""
    ordered = sorted(some, key=lambda s: s.order)
    pictures = {s.sha256: s for s in ordered if s.thumbnail}
    inner = [(s.inner, s.inner_thumbnail) for s in pictures.values() if s.inner]
    numbers = hashes.sets(
        [s.hashed for s in pictures.values()], [s.thumbnail for s in pictures.values()], inner, distance
    )
    number_of = dict(zip(pictures, numbers, strict=True))
    found: dict[int, list[Seen]] = {}
    for one in ordered:
        found.setdefault(number_of[one.sha256], []).append(one)
    return list(found.values())


class CompareImages(Stage):
    """The stage *Compare images*: removes images that other documents have too."""

    def __init__(self, run: Run):
        super().__init__(run, COMPARE_IMAGES, lambda run: Step(lambda document: document))

    def process(self, document: StoredDocument, repeated: Table) -> Iterator[Any]:
        yield self.result(document, lambda: self._without(document, repeated.get(document.location, {})))

    def _without(
        self, document: StoredDocument, repeated: dict[str, tuple[Drop, str]]
    ) -> StoredDocument | DroppedDocument:
        found = {at: repeated[image.sha256] for at, image in enumerate(document.images) if image.sha256 in repeated}
        if not found:
            return document
        drops = {at: drop for at, (drop, _) in found.items()}
        details = {at: detail for at, (_, detail) in found.items()}
        return stages.if_enough_images(self.run, drop_images(document, drops, self.stage, details))
