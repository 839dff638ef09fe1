"""Reads parts of corpora; every record that cannot be read becomes a fault.

A reader itself is a function of one decoded record and its place; it knows nothing of files. See docs/corpora.md.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from pipeline.corpora import guard, limits, lines, rows
from pipeline.corpora.controls import cleaned
from pipeline.corpora.fields import READER_ERROR, BadRecord, Record, relative, string
from pipeline.corpora.files import Files, sampled
from pipeline.storage import uris
from pipeline.storage.uris import is_http
from schemas.errors import AGAIN, ServiceError
from schemas.records import Document, Fault, Segment

JSONL = (".jsonl", ".jsonl.gz", ".jsonl.zip", ".tar")
PARQUET = (".parquet",)

UNREAD, REPEATED = "unread:", "duplicate_id:"
"""The prefixes of the ledger's ids for rows without an id of their own: a location follows. No document's id may begin
with one."""


@dataclasses.dataclass(frozen=True)
class Format:
    """A corpus format.

    `documents` is the reader: it yields the documents of one decoded record, and raises ValueError if the record is
    malformed. `suffixes`: the endings of its files. `images`: the name of the folder of images next to them. `columns`:
    the columns of a Parquet file that are read (none: all). `files`: how files are read that are neither JSON Lines nor
    Parquet. `about`, `get`, `terms`: texts for `leafinstruct corpora`. `benchmark`: `build` refuses it.
    """

    documents: Callable[[Record, Place], Iterator[Document]]
    suffixes: tuple[str, ...]
    images: str = "images"
    columns: tuple[str, ...] = ()
    files: Files | None = None
    about: str = ""
    get: str = ""
    terms: str = ""
    benchmark: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a record is.

    `name` names the record within the corpus (`docs.jsonl:12`), wherever the corpus is; `location` names the file as it
    was given. `images` is the folder of local images; `local` says whether there is one.

    >>> place = Place("native", "docs.jsonl:1", "corpus/docs.jsonl:1", "corpus/images", local=True)
    >>> place.uri("saw.png"), place.uri("https://example.org/saw.png")
    ('corpus/images/saw.png', 'https://example.org/saw.png')
    """

    format: str
    name: str
    location: str
    images: str
    local: bool

    def id(self, record: Record) -> str:
        """An id for a document whose format has none.

        The record's name, and 12 hex digits of the sha256 of its content, because two corpora may have files of the
        same name (`docs.jsonl:12-9d4a0c71e2b8`).
        """
        content = json.dumps(record, sort_keys=True, default=str)  # str: Parquet has dates and bytes
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def document(self, record: Record, segments: Iterable[Segment]) -> Document:
        """The document of a record without an id and a title; its field `url` is the address."""
        return Document(
            id=self.id(record),
            source=self.format,
            segments=tuple(segments),
            url=string(record, "url", ""),
            location=self.location,
        )

    def uri(self, name: str) -> str:
        """The URI of an image: an http(s) address as it is, or a relative name below the image folder.

        Raises ValueError for any other name: a corpus must not reach files outside its folder.
        """
        return name if is_http(name) else f"{self.images}/{relative(name)}"

    def address(self, url: str) -> str:
        """The URI of an image of a web corpus.

        An address that is not http(s) becomes the name of a file that does not exist, so that the image is counted as
        missing and the document stays.
        """
        return url if is_http(url) else f"{self.images}/{quote(url, safe='')[:200]}"

    def has(self, name: str) -> bool:
        """Whether there is a local image of this relative name."""
        return self.local and uris.exists(f"{self.images}/{relative(name)}")


@dataclasses.dataclass(frozen=True)
class Part:
    """A piece of a corpus that one worker reads.

    `file` is the path or URL of a JSON Lines, Parquet, tar or zip file, `member` the JSON Lines inside a tar, or inside
    a zip of several files, `name` the file's name within the corpus. `first` is the number (from 1) of the first line
    or row. `offset` is the byte at which that line starts, or the row group of a Parquet file; `size` the bytes and
    `count` the lines or rows that follow, None for a compressed file, which is read to its end. A smaller `count` reads
    less. `images` is the folder of local images, `local` whether there is one. `fault` says why the file could not be
    cut, `error` of which kind the fault is. `share` is the share of the records that is read. `counted` is False as long
    as the file is not divided, or its lines are not counted (`cut.py`). `corpus` is the number of its corpus in the
    configuration, from 0.
    """

    format: str
    file: str
    name: str
    member: str = ""
    first: int = 1
    offset: int = 0
    size: int | None = None
    count: int | None = None
    images: str = ""
    local: bool = False
    fault: str = ""
    error: str = "unreadable"
    share: float = 1.0
    counted: bool = True
    corpus: int = 0

    def place(self, number: int) -> Place:
        inside = f"!/{self.member}" if self.member else ""
        return Place(
            self.format, f"{self.name}{inside}:{number}", f"{self.file}{inside}:{number}", self.images, self.local
        )


def records(part: Part, shape: Format) -> Iterator[tuple[int, Record | BadRecord | None]]:
    """The decoded records of a part, each with its number in the file; None for a blank line.

    A BadRecord ends those that cannot be read any further.
    """
    return itertools.islice(_guarded(part, shape), part.count)


def _guarded(part: Part, shape: Format) -> Iterator[tuple[int, Record | BadRecord | None]]:
    number = part.first - 1
    try:
        for number, record in _found(part, shape):
            yield number, record
    except Exception as error:  # noqa: BLE001 - the fault says of which kind it is
        yield number + 1, guard.fault_of(error, "unreadable")


def _found(part: Part, shape: Format) -> Iterator[tuple[int, Record | BadRecord | None]]:
    if shape.files:
        return shape.files.read(part)
    if part.file.endswith(".parquet"):
        return enumerate(rows.read(part.file, part.offset, shape.columns), part.first)
    return enumerate(_lines(part), part.first)


def _lines(part: Part) -> Iterator[Record | BadRecord | None]:
    """The lines of a part. Raises ServiceError if a plain file has fewer of them than when it was divided into parts."""
    missing = part.count if part.count is not None and part.size is not None else 0
    for line in lines.read(part.file, part.offset, part.size, part.member):
        missing -= 1
        yield line
    if missing > 0:
        raise ServiceError(f"{part.file} has become shorter since the run began: {missing:,} lines are gone; {AGAIN}")


def read(part: Part, shape: Format) -> Iterator[Document | Fault]:
    """The documents of a part, and one fault for each record that gives none.

    Raises OSError if a file no longer exists.
    """
    if part.fault:
        yield _fault(part.place(part.first), BadRecord(part.error, part.fault))
        return
    for number, record in records(part, shape):
        place = part.place(number)
        lost = isinstance(record, BadRecord) and record.kind in ("unreadable", READER_ERROR)
        if record is None or not (lost or sampled(place.name, part.share)):  # None: a blank line
            continue
        try:
            if isinstance(record, BadRecord):
                raise record
            documents = [*map(cleaned, shape.documents(record, place))]  # a record is read whole or not at all
            if len({document.location for document in documents}) < len(documents):
                raise BadRecord(READER_ERROR, "several documents of one location, by which they are told apart")
            for document in documents:
                limits.check(document)
                if document.id.startswith((UNREAD, REPEATED)):
                    raise ValueError("the id begins like those of the ledger's own rows")
        except Exception as error:  # noqa: BLE001 - the fault says of which kind it is
            yield _fault(place, guard.fault_of(error, "bad_record"))
        else:
            yield from documents


def limited(part: Part, most: int, shape: Format) -> tuple[Part, int]:
    """The part with no more than `most` records, and how many it has then.

    The records of a compressed file are counted by reading it, up to `most`.
    """
    count = part.count
    if part.fault:
        count = 1
    elif count is None:
        count = sum(1 for _ in itertools.islice(records(part, shape), most))
    count = min(count, most)
    return dataclasses.replace(part, count=count), count


def _fault(place: Place, error: BadRecord) -> Fault:
    """The fault of a record.

    Its id is made from its location: two corpora may have files of the same name, but no file is read twice.
    """
    return Fault(UNREAD + place.location, place.format, place.location, error.kind, error.detail[:500])
