"""Draws the documents, makes the copies and writes the corpus: the same documents and seed give the same bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.planted.kinds import KINDS, TRUE, counts
from benchmarks.planted.pictures import hashed
from benchmarks.steps import passing
from filters.near_duplicates import signature, similarity
from models import HELD_OUT
from pipeline import corpora
from pipeline.coherence.damage import order
from pipeline.images.decode import extension
from pipeline.images.faults import ImageFault
from pipeline.images.store import ImageStore
from pipeline.run import Run
from pipeline.sources import Corpus
from pipeline.storage.uris import read_bytes
from schemas.records import Document, Image, SizedImage, StoredDocument, Text

ALIKE = 0.5
"""The similarity of texts from which only one of two documents is taken: below the limit of the rule, which is 0.7."""
PLANTED = "planted-"
"""What the names of image files begin with that did not belong to their document."""


@dataclasses.dataclass(frozen=True)
class Planted:
    """A document of the corpus, its kind, and the document that it was made of."""

    kind: str
    document: StoredDocument
    original: StoredDocument


def originals(run: Run, sources: Iterable[Corpus], seed: str) -> Iterator[StoredDocument]:
    """The documents that pass the rules about texts and headers, in the order in which they are given out.

    Those of the first corpus come first, and of each corpus those of held-out sources, each in the order of a hash.
    Documents with the id, an image or most of the text of an earlier one are left out: they would be judged as repeats.
    """
    passed = passing(run)
    ids: set[str] = set()
    images: set[str] = set()
    signatures: list[bytes] = []
    for corpus in sources:
        read = (record for part in corpora.parts(corpus.format, corpus.path) for record in corpora.read(part))
        found = filter(None, (passed(record) for record in read if isinstance(record, Document)))
        for document in sorted(found, key=lambda d: (d.source not in HELD_OUT, order(seed, d.id))):
            if (stored := _stored(document)) is None or document.id in ids:
                continue
            signed, own = signature(document), {image.sha256 for image in stored.images}
            ids.add(document.id)
            if own.isdisjoint(images) and not any(similarity(signed, one) >= ALIKE for one in signatures):
                images |= own
                signatures.append(signed)
                yield stored


def plant(documents: Sequence[StoredDocument], count: int) -> list[Planted]:
    """The corpus: `count` documents, or fewer if there are not enough to make them of.

    Each is made of documents of its own; only repeats are made of those that are planted as they are, which come before
    them. Raises ValueError if `count` is too small for all kinds.
    """
    free, repeated, found = list(documents), list[StoredDocument](), list[Planted]()
    for name, wanted in counts(count).items():
        found += itertools.islice(_copies(name, repeated if KINDS[name].repeats else free), wanted)
        if name == TRUE:
            repeated = [one.original for one in found]
    return found


def write(folder: Path, planted: Iterable[Planted]) -> list[Path]:
    """Write the corpus in the native format; returns the image files that did not belong to their documents."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    records = [_record(one, folder / "images") for one in planted]
    with open(folder / "docs.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    names = {segment.get("image", "") for record in records for segment in record["segments"]}
    return sorted(folder / "images" / name for name in names if name.startswith(PLANTED))


def stored_hashes(store: ImageStore, files: Iterable[Path]) -> frozenset[str]:
    """The hashes under which a build stores these image files; those that it cannot store are left out."""
    found = set()
    for path in files:
        with contextlib.suppress(ImageFault):
            found.add(store.store(Image(str(path))).sha256)
    return frozenset(found)


def _stored(document: Document) -> StoredDocument | None:
    """The document with the hashes of its images; None if the size of one is not known."""
    segments = []
    for segment in document.segments:
        if not isinstance(segment, Text | SizedImage):
            return None
        segments.append(segment if isinstance(segment, Text) else hashed(segment))
    return StoredDocument.of(document, segments=tuple(segments))


def _copies(name: str, pool: list[StoredDocument]) -> Iterator[Planted]:
    """Documents of this kind; what they are made of is taken out of the pool."""
    kind = KINDS[name]
    for original in tuple(pool):
        if original not in pool:  # another has taken something from it
            continue
        others = (other for other in tuple(pool) if other is not original)
        for group in ([original, other] for other in others) if kind.with_another else [[original]]:
            if copy := next((copy for copy in kind.damage(group) if copy.id == original.id), None):
                pool[:] = [one for one in pool if one not in group]
                yield Planted(name, dataclasses.replace(copy, id=f"{name}-{original.id}"), original)
                break


def _record(planted: Planted, images: Path) -> dict[str, Any]:
    """The document as a record; its images are written to a folder."""
    document, own = planted.document, {image.sha256 for image in planted.original.images}
    segments: list[dict[str, str]] = []
    for segment in document.segments:
        if isinstance(segment, Text):
            segments.append({"text": segment.text})
            continue
        data = KINDS[planted.kind].file(read_bytes(segment.uri))
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{'' if sha256 in own else PLANTED}{sha256[:20]}.{extension(data)}"
        (images / name).write_bytes(data)
        segments.append({"image": name, "alt": segment.alt, "caption": segment.caption})
    return {
        "id": document.id,
        "source": document.source,
        "url": document.url,
        "license": document.license,
        "title": document.title,
        "segments": segments,
    }
