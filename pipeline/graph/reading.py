"""The first transforms of the DAG: work items, documents, and duplicates."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from filters.duplicates import text_digest
from pipeline import corpora
from pipeline.corpora.parts import REPEATED, Part, limited
from pipeline.graph import failures, outcomes, progress
from pipeline.graph.metrics import DROPPED, FAILED, PASSED
from pipeline.graph.transforms import ENDED, Stage, Step
from pipeline.run import Run
from schemas.errors import UserError
from schemas.records import Document, Drop, Fault
from schemas.stage_names import DEDUPLICATE, READ


def plan(run: Run) -> Iterator[Part]:
    """Divide the corpora into work items, up to `limit` records (lines or rows)."""
    with failures.recorded(run.failures, "plan"):
        yield from _plan(run)


def _plan(run: Run) -> Iterator[Part]:
    left = run.config.limit
    owners: dict[str, object] = {}
    for corpus in run.config.corpora:
        for part in corpora.parts(corpus.format, corpus.path):
            if owners.setdefault(part.file, corpus) is not corpus:
                raise UserError(f"two corpora of the configuration contain {part.file}; name it once")
            if left is not None:
                if left <= 0:
                    return
                part, count = limited(part, left)
                left -= count
            yield part


class Read(Stage):
    """Work item -> documents; a record that cannot be read becomes a ledger row."""

    def __init__(self, run: Run):
        super().__init__(run, READ, _no_step)

    def process(self, part: Part) -> Iterator[Any]:
        with failures.recorded(self.run.failures, self.stage, part.name):
            for record in corpora.read(part):
                self.counter.tick(self.label)
                if isinstance(record, Fault):
                    self.metrics.count(FAILED)
                    outcome = outcomes.unreadable(record)
                    self.share.failed(outcome)
                    yield beam.pvalue.TaggedOutput(ENDED, outcome)
                else:
                    self.metrics.count(PASSED)
                    self.share.passed()
                    yield record


def _no_step(run: Run) -> Step[Any, Any]:
    """The step of the stages in this file, which do their work in `process`."""
    return Step(lambda document: document)


@dataclasses.dataclass(frozen=True)
class Repeat:
    """Why a document is a duplicate: `rule` is `duplicate_id` or `duplicate_text`, `first` the id of the first one.

    `copies` is the number of documents with this id, or with this text, including the first. Documents with a duplicate
    id are not counted for a text.
    """

    rule: str
    copies: int
    first: str


def identify(part: Part, run: Run) -> Iterator[tuple[str, str, str]]:
    """(id, location, digest of the text) of each document: all that is needed to find duplicates.

    This reads the corpus a second time, without its images, which is far cheaper than a shuffle of whole documents.
    """
    with failures.recorded(run.failures, "identify", part.name):
        for record in corpora.read(part):
            progress.counter(run.counts).tick(progress.IDENTIFY)
            if isinstance(record, Document):
                yield record.id, record.location, text_digest(record)


class Repeats(beam.PTransform[Any, Any]):
    """(id, location, digest) -> (location, Repeat) for every duplicate.

    First, every document but the first with its id; then, among the documents that are left, every one but the first
    with its text. The first is the first by file name and line, in every run. In one pass, a text could be lost: its
    first document might be dropped for its id.
    """

    def expand(self, identities: beam.PCollection[tuple[str, str, str]]) -> beam.PCollection[tuple[str, Repeat]]:
        ids = (identities | "By id" >> beam.Map(lambda i: (i[0], (i[1], i[2]))) | "Group ids" >> beam.GroupByKey()
               | "Same id" >> beam.FlatMap(_same_id).with_outputs(_FIRST, main="repeats"))
        texts = ids[_FIRST] | "Group texts" >> beam.GroupByKey() | "Same text" >> beam.FlatMap(_same_text)
        repeats: beam.PCollection[tuple[str, Repeat]] = (ids["repeats"], texts) | beam.Flatten()
        return repeats


_FIRST = "first"


def _same_id(group: tuple[str, Iterable[tuple[str, str]]]) -> Iterator[Any]:
    """(id, [(location, digest)]): the first as (digest, (location, id)), the others as duplicates."""
    id_, ((first, digest), *others) = group[0], sorted(group[1], key=lambda document: _place(document[0]))
    yield beam.pvalue.TaggedOutput(_FIRST, (digest, (first, id_)))
    for location, _ in others:
        yield location, Repeat("duplicate_id", 1 + len(others), id_)


def _same_text(group: tuple[str, Iterable[tuple[str, str]]]) -> Iterator[tuple[str, Repeat]]:
    """(digest, [(location, id)]): all but the first."""
    (_, first), *others = sorted(group[1], key=lambda document: _place(document[0]))
    for location, _ in others:
        yield location, Repeat("duplicate_text", 1 + len(others), first)


def _place(location: str) -> tuple[str, int, str]:
    """A sort key for `file:12#3`, in which line 9 comes before line 12."""
    found = re.fullmatch(r"(.*):(\d+)(.*?)", location, re.S)
    if found is None:
        raise ValueError(f"{location!r} is not a location of the form file:line")
    return found[1], int(found[2]), found[3]


class Deduplicate(Stage):
    """Drops duplicates.

    A document with a duplicate id gets the id `duplicate_id:location` in the ledger, because ids are distinct there;
    the row's detail names the original id.
    """

    def __init__(self, run: Run):
        super().__init__(run, DEDUPLICATE, _no_step)

    def process(self, document: Document, repeats: dict[str, Repeat]) -> Iterator[Any]:
        repeat = repeats.get(document.location)
        if repeat is None:
            self.metrics.count(PASSED)
            self.counter.tick(self.label)
            yield document
            return
        if repeat.rule == "duplicate_id":
            document = dataclasses.replace(document, id=REPEATED + document.location)
        self.metrics.count(DROPPED)
        drop = Drop(repeat.rule, float(repeat.copies), 1.0)
        yield beam.pvalue.TaggedOutput(
            ENDED, outcomes.dropped(document, self.stage, drop, detail=f"repeats {repeat.first}"))
