"""How a step on one document becomes a Beam transform: what passes goes on, every other end becomes a ledger row.

A step is a plain function: Document -> Document (perhaps with one more field known), or Drop, or LastState where the
ledger is to know what the step had made of the document. It may raise. Steps need things that do not travel (models,
connections), so a transform gets a `make`: a function of the run that returns the step, and that is called once in each
worker.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from pipeline.graph import outcomes, progress
from pipeline.graph.window import Window
from pipeline.report.dropped import keep_sample
from pipeline.run import Run, image_store
from schemas.errors import UserError
from schemas.records import Document, Drop, LastState

ENDED = "ended"
"""The tag of the output that holds the outcomes of documents that end at a step."""


_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE,
                   errno.ENFILE}
"""Full, forbidden or broken disks. Of a document's own files the readers make faults with a name."""


class _Step(beam.DoFn):
    label = ""          # the step's name in the graph and in the progress line; the DAG sets it

    def __init__(self, run: Run, stage: str, make: Callable[[Run], Callable]):
        self.run, self.stage, self.make = run, stage, make

    def setup(self):
        self.step = self.make(self.run)
        self.counter = progress.counter(self.run.counts)
        self.pictures = image_store(self.run)

    def teardown(self):
        """A step that holds threads or connections has a `close`."""
        if close := getattr(self.step, "close", None):
            close()

    def result(self, document: Document, get: Callable):
        """The output for one document, whatever `get` returns or raises."""
        try:
            found = get()
        except Exception as error:
            if must_stop(error):
                raise
            return beam.pvalue.TaggedOutput(ENDED, outcomes.failed(document, self.stage, error))
        last = LastState(document, found) if isinstance(found, Drop) else found
        if isinstance(last, LastState):
            outcome = outcomes.dropped(last.document, self.stage, last.drop)
            keep_sample(self.run.store("dropped"), document, outcome, self.pictures.glance)
            return beam.pvalue.TaggedOutput(ENDED, outcome)
        self.counter.tick(self.label)
        return found


class Each(_Step):
    """One document after the other."""

    def process(self, document):
        yield self.result(document, lambda: self.step(document))


class Batches(_Step):
    """`size` documents at once; the step takes a list and returns a list. If it raises, each is tried alone, so that
    one bad document takes no other with it."""

    def __init__(self, run: Run, stage: str, make: Callable[[Run], Callable], size: int):
        super().__init__(run, stage, make)
        self.size = size

    def start_bundle(self):
        self.waiting: list[Document] = []

    def process(self, document):
        self.waiting.append(document)
        if len(self.waiting) >= self.size:
            yield from self.flush()

    def finish_bundle(self):
        yield from _windowed(self.flush())

    def flush(self) -> Iterator:
        documents, self.waiting = self.waiting, []
        if not documents:
            return
        try:
            found = self.step(documents)
        except Exception as error:
            if must_stop(error):
                raise
            for document in documents:
                yield self.result(document, lambda d=document: self.step([d])[0])
            return
        for document, one in zip(documents, found, strict=True):
            yield self.result(document, lambda one=one: one)


class InFlight(_Step):
    """Up to `size` documents at a time; the step returns a future. Results go on as they come, in any order: a slow
    answer holds nobody up, and a server always has enough to do."""

    def __init__(self, run: Run, stage: str, make: Callable[[Run], Callable], size: int):
        super().__init__(run, stage, make)
        self.size = size

    def start_bundle(self):
        self.window = Window(self.size)

    def process(self, document):
        for item, found in self.window.add(document, self.step(document)):
            yield self.result(item, lambda found=found: _value(found))

    def finish_bundle(self):
        yield from _windowed(self.result(item, lambda found=found: _value(found)) for item, found in self.window.drain())


def _value(found):
    """What a future gave, or raise what it raised."""
    if isinstance(found, BaseException):
        raise found
    return found


def must_stop(error: BaseException) -> bool:
    """Errors that no ledger row may hide: they would befall every document, and the run must end."""
    return isinstance(error, (UserError, MemoryError)) or isinstance(error, OSError) and error.errno in _OF_THE_MACHINE


def _windowed(outputs: Iterator) -> Iterator:
    """finish_bundle must say which window its outputs belong to, inside the tag."""
    for output in outputs:
        if isinstance(output, beam.pvalue.TaggedOutput):
            yield beam.pvalue.TaggedOutput(output.tag, GlobalWindows.windowed_value(output.value))
        else:
            yield GlobalWindows.windowed_value(output)
