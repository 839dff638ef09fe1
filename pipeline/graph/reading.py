"""The first steps of the DAG: work items, documents, and which of them come twice."""

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
    """Cut the corpora into work items. Stops at `limit` records (lines or rows)."""
    with failures.recorded(run.failures, "plan"):
        yield from _plan(run)


def _plan(run: Run) -> Iterator[Part]:
    left = run.config.limit
    owners: dict[str, object] = {}
    for corpus in run.config.corpora:
        for part in corpora.parts(corpus.format, corpus.path):
            if owners.setdefault(part.file, corpus) is not corpus:
                raise UserError(f"two corpora of the config hold {part.file}; name it once")
            if left is not None:
                if left <= 0:
                    return
                part, count = limited(part, left)
                left -= count
            yield part


class Read(Stage):
    """Part -> documents. A record that cannot be read is an outcome."""

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
    """Of the stages here, which do their work in `process`."""
    return Step(lambda document: document)


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A document that repeats another: by id, or by its text. `copies` counts them all, the first one too: of a text,
    those among documents that do not repeat an id."""

    rule: str
    copies: int
    first: str


def identify(part: Part, run: Run) -> Iterator[tuple[str, str, str]]:
    """(id, location, digest of the text) of each document: all that is needed to find repeats. Reads the corpus a
    second time, without its pictures, which is far cheaper than taking whole documents through a shuffle."""
    with failures.recorded(run.failures, "identify", part.name):
        for record in corpora.read(part):
            progress.counter(run.counts).tick(progress.IDENTIFY)
            if isinstance(record, Document):
                yield record.id, record.location, text_digest(record)


class Repeats(beam.PTransform[Any, Any]):
    """(id, location, digest) -> (location, Repeat) for every document that is not the first with its id, and of those
    that are, for every one that is not the first with its text: the first by file name and line, whichever worker reads
    it. One after the other, or a text would be lost whose first document goes because of its id."""

    def expand(self, identities: beam.PCollection[tuple[str, str, str]]) -> beam.PCollection[tuple[str, Repeat]]:
        ids = (identities | "By id" >> beam.Map(lambda i: (i[0], (i[1], i[2]))) | "Group ids" >> beam.GroupByKey()
               | "Same id" >> beam.FlatMap(_same_id).with_outputs(_FIRST, main="repeats"))
        texts = ids[_FIRST] | "Group texts" >> beam.GroupByKey() | "Same text" >> beam.FlatMap(_same_text)
        repeats: beam.PCollection[tuple[str, Repeat]] = (ids["repeats"], texts) | beam.Flatten()
        return repeats


_FIRST = "first"


def _same_id(group: tuple[str, Iterable[tuple[str, str]]]) -> Iterator[Any]:
    """(id, [(location, digest)]): the first as (digest, (location, id)), the others as repeats."""
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
    """`file:12#3` as something to sort by: line 9 comes before line 12."""
    found = re.fullmatch(r"(.*):(\d+)(.*?)", location, re.S)
    if found is None:
        raise ValueError(f"{location!r} is no location: a reader's has the form file:line")
    return found[1], int(found[2]), found[3]


class Deduplicate(Stage):
    """End the repeats. One with another's id goes into the ledger as `duplicate_id:location`, for ids there are
    distinct; the row's detail names the id."""

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
