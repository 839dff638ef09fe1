"""The first steps of the DAG: work items, documents, and which of them come twice."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import apache_beam as beam

from filters.duplicates import text_digest
from pipeline import corpora
from pipeline.corpora.parts import REPEATED, limited
from pipeline.graph import outcomes, progress
from pipeline.graph.transforms import ENDED
from pipeline.run import Run
from schemas.errors import UserError
from schemas.records import Document, Drop, Fault


def plan(run: Run) -> Iterator[corpora.Part]:
    """Cut the corpora into work items. Stops at `limit` records (lines or rows)."""
    left = run.config.limit
    owners: dict[str, object] = {}
    for corpus in run.config.corpora:
        for part in corpora.parts(corpus.format, corpus.path):
            if owners.setdefault(part.file, corpus) is not corpus:
                raise UserError(f"two corpora of the config hold {part.file}; name it once")
            if left is not None:
                if left <= 0:
                    return
                part = limited(part, left)
                left -= part.count
            yield part


class Read(beam.DoFn):
    """Part -> documents. A record that cannot be read is an outcome."""

    def __init__(self, counts: str):
        self.counts = counts

    def setup(self):
        self.counter = progress.counter(self.counts)

    def process(self, part):
        for record in corpora.read(part):
            self.counter.tick(self.label)
            if isinstance(record, Fault):
                yield beam.pvalue.TaggedOutput(ENDED, outcomes.unreadable(record))
            else:
                yield record


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A document that repeats another: by id, or by its text. `copies` counts them all, the first one too: of a text,
    those among documents that do not repeat an id."""

    rule: str
    copies: int
    first: str


def identify(part) -> Iterator[tuple[str, str, str]]:
    """(id, location, digest of the text) of each document: all that is needed to find repeats. Reads the corpus a
    second time, without its pictures, which is far cheaper than taking whole documents through a shuffle."""
    for record in corpora.read(part):
        if isinstance(record, Document):
            yield record.id, record.location, text_digest(record)


class Repeats(beam.PTransform):
    """(id, location, digest) -> (location, Repeat) for every document that is not the first with its id, and of those
    that are, for every one that is not the first with its text: the first by file name and line, whichever worker reads
    it. One after the other, or a text would be lost whose first document goes because of its id."""

    def expand(self, identities):
        ids = (identities | "By id" >> beam.Map(lambda i: (i[0], (i[1], i[2]))) | "Group ids" >> beam.GroupByKey()
               | "Same id" >> beam.FlatMap(_same_id).with_outputs(_FIRST, main="repeats"))
        texts = ids[_FIRST] | "Group texts" >> beam.GroupByKey() | "Same text" >> beam.FlatMap(_same_text)
        return (ids["repeats"], texts) | beam.Flatten()


_FIRST = "first"


def _same_id(group):
    """(id, [(location, digest)]): the first as (digest, (location, id)), the others as repeats."""
    id_, ((first, digest), *others) = group[0], sorted(group[1], key=lambda document: _place(document[0]))
    yield beam.pvalue.TaggedOutput(_FIRST, (digest, (first, id_)))
    for location, _ in others:
        yield location, Repeat("duplicate_id", 1 + len(others), id_)


def _same_text(group):
    """(digest, [(location, id)]): all but the first."""
    (_, first), *others = sorted(group[1], key=lambda document: _place(document[0]))
    for location, _ in others:
        yield location, Repeat("duplicate_text", 1 + len(others), first)


def _place(location: str) -> tuple[str, int, str]:
    """`file:12#3` as something to sort by: line 9 comes before line 12."""
    file, line, rest = re.fullmatch(r"(.*):(\d+)(.*?)", location, re.S).groups()
    return file, int(line), rest


class DropRepeats(beam.DoFn):
    """End the repeats. One with another's id goes into the ledger as `duplicate_id:location`, for ids there are
    distinct; the row's detail names the id."""

    def __init__(self, counts: str):
        self.counts = counts

    def setup(self):
        self.counter = progress.counter(self.counts)

    def process(self, document, repeats: dict[str, Repeat]):
        repeat = repeats.get(document.location)
        if repeat is None:
            self.counter.tick(self.label)
            yield document
            return
        if repeat.rule == "duplicate_id":
            document = dataclasses.replace(document, id=REPEATED + document.location)
        drop = Drop(repeat.rule, float(repeat.copies), 1.0)
        yield beam.pvalue.TaggedOutput(
            ENDED, outcomes.dropped(document, "duplicates", drop, detail=f"repeats {repeat.first}"))
