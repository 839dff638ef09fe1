"""The first transforms of the DAG: divide corpora into parts, read documents, find and drop duplicates."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from filters.duplicates import text_digest
from filters.headings import heading_keys
from filters.near_duplicates import signature
from pipeline import corpora
from pipeline.corpora import cut
from pipeline.corpora.parts import REPEATED, Part
from pipeline.graph import failures, outcomes, progress
from pipeline.graph.headings import HEADINGS
from pipeline.graph.metrics import DROPPED, FAILED, PASSED
from pipeline.graph.repeats import ID_TAKEN, Identity, Repeat
from pipeline.graph.table import Table
from pipeline.graph.transforms import ENDED, Stage, Step
from pipeline.run import Run, keep_tar_indexes
from pipeline.sources import Corpus
from schemas.errors import UserError
from schemas.records import Document, Drop, Fault
from schemas.stage_names import DEDUPLICATE, READ

PLAN = "plan"
"""What failures are recorded under before a document is read."""
RANGES = "ranges"
"""The tag of the output with the ranges of bytes whose lines are not counted yet."""


def plan(run: Run) -> Iterator[Part]:
    """The files of the corpora, or finished parts where a limit has to count records. Raises UserError as `parts`."""
    with failures.recorded(run.failures, PLAN):
        keep_tar_indexes(run)
        limited = run.config.limit is not None or any(corpus.limit is not None for corpus in run.config.corpora)
        yield from parts(run) if limited else (file for _, file in _files(run))


class Divide(beam.PTransform[Any, Any]):
    """Files -> parts: the workers open the files, and count lines by ranges of bytes."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def expand(self, files: beam.PCollection[Part]) -> beam.PCollection[Part]:
        divided = (
            files | "Spread files" >> beam.Reshuffle() | "Open" >> beam.FlatMap(_divided, self.run).with_outputs(RANGES)
        )
        numbered = (
            divided[RANGES]
            | "Spread ranges" >> beam.Reshuffle()
            | "Count lines" >> beam.FlatMap(_counted, self.run)
            | "Group by file" >> beam.GroupByKey()
            | "Number" >> beam.FlatMap(_numbered)
        )
        parts: beam.PCollection[Part] = (
            (divided[None], numbered) | "All parts" >> beam.Flatten() | "Spread parts" >> beam.Reshuffle()
        )
        return parts


def _divided(file: Part, run: Run) -> Iterator[Any]:
    with failures.recorded(run.failures, PLAN, file.name):
        keep_tar_indexes(run)
        for part in corpora.divided(file):
            yield part if part.counted else beam.pvalue.TaggedOutput(RANGES, part)


def _counted(part: Part, run: Run) -> Iterator[tuple[str, Part]]:
    with failures.recorded(run.failures, PLAN, part.name):
        for found in cut.counted(part):
            yield found.file, found


def _numbered(file: tuple[str, Iterable[Part]]) -> Iterator[Part]:
    return cut.numbered(sorted(file[1], key=lambda part: part.offset))


def records(run: Run) -> Iterator[Document | Fault]:
    """All documents and faults of the corpora, in their order, for a command that works outside of the graph."""
    for part in parts(run):
        yield from corpora.read(part)


def parts(run: Run) -> Iterator[Part]:
    """Divide the corpora into parts, in order. Raises UserError if two corpora contain the same file.

    Each corpus has its own `limit` of records (lines, rows, pages), and the configuration has one for all of them
    together.
    """
    taken: collections.Counter[Corpus] = collections.Counter()
    for corpus, file in _files(run):
        if _left(run, corpus, taken) == 0:
            continue
        for part in corpora.parts_of(file):
            left = _left(run, corpus, taken)
            if left == 0:
                break
            if left is not None:
                part, count = corpora.limited(part, left)
                taken[corpus] += count
            yield part


def _left(run: Run, corpus: Corpus, taken: collections.Counter[Corpus]) -> int | None:
    """How many records the limits still allow of a corpus; None without a limit."""
    limits = []
    if run.config.limit is not None:
        limits.append(run.config.limit - taken.total())
    if corpus.limit is not None:
        limits.append(corpus.limit - taken[corpus])
    return max(min(limits), 0) if limits else None


def _files(run: Run) -> Iterator[tuple[Corpus, Part]]:
    """Each file of the corpora, not divided yet, and its corpus."""
    owners: dict[str, Corpus] = {}
    for number, corpus in enumerate(run.config.corpora):
        for file in corpora.files(corpus.format, corpus.path, corpus.weight):
            if owners.setdefault(file.file, corpus) is not corpus:
                raise UserError(f"two corpora contain {file.file}; name it once")
            yield corpus, dataclasses.replace(file, corpus=number)


class Read(Stage):
    """Part -> documents; a record that cannot be read becomes a ledger row.

    It waits until the repeats are known, though it needs them for nothing: a stage that does not wait would be fused with
    *Identify*, and the runner would keep all documents until then.
    """

    def __init__(self, run: Run):
        super().__init__(run, READ, _no_step)

    def process(self, part: Part, repeats: Table) -> Iterator[Any]:
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


def identify(part: Part, run: Run) -> Iterator[Any]:
    """What is needed of each document to find duplicates.

    The headings of each document, to find those that recur, are in the output HEADINGS.

    This reads the corpus a second time, without its images, which is far cheaper than a shuffle of whole documents.
    """
    near = run.config.duplicates.text_at_least is not None
    with failures.recorded(run.failures, "identify", part.name):
        keep_tar_indexes(run)
        for record in corpora.read(part):
            progress.counter(run.counts).tick(progress.IDENTIFY)
            if isinstance(record, Document):
                digest = text_digest(record)
                yield Identity(record.id, record.location, digest, signature(record) if near else b"", part.corpus)
                for key in heading_keys(record):
                    yield beam.pvalue.TaggedOutput(HEADINGS, (key, digest))


class Deduplicate(Stage):
    """Drops duplicates.

    A document whose id an earlier one has gets the id `duplicate_id:location` in the ledger, because ids are distinct
    there; the row's detail names the original id.
    """

    def __init__(self, run: Run):
        super().__init__(run, DEDUPLICATE, _no_step)

    def process(self, document: Document, repeats: Table) -> Iterator[Any]:
        repeat: Repeat | None = repeats.get(document.location)
        if repeat is None:
            self.metrics.count(PASSED)
            self.counter.tick(self.label)
            yield document
            return
        if repeat.rule in ("duplicate_id", ID_TAKEN):
            document = dataclasses.replace(document, id=REPEATED + document.location)
        self.metrics.count(DROPPED)
        detail = f"{'its id is' if repeat.rule == ID_TAKEN else 'repeats'} {repeat.first}"
        drop = Drop(repeat.rule, repeat.value, repeat.threshold)
        yield beam.pvalue.TaggedOutput(ENDED, outcomes.dropped(document, self.stage, drop, detail))
