"""How a step becomes a Beam transform: documents that pass continue, every other document becomes a ledger row.

A step is a plain function: it returns a document (often of a richer type), a Drop, or a DroppedDocument if the ledger
should record how the step changed the document first. It may raise `RecordFault`, which fails the document; any other
exception stops the run (see `schemas/errors.py`). Steps need objects that cannot be pickled (models, connections), so a
transform gets `make`: a function of the run that returns the step, called once in each worker.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from pipeline.graph import failures, outcomes, progress
from pipeline.graph.failed_share import FailedShare
from pipeline.graph.metrics import DROPPED, FAILED, PASSED, StageMetrics
from pipeline.graph.window import Window
from pipeline.report.dropped import keep_sample
from pipeline.run import Run, check_libraries, image_store, keep_tar_indexes
from pipeline.storage import packs
from schemas.errors import RecordFault
from schemas.outcome import Outcome
from schemas.records import Document, Drop, DroppedDocument
from schemas.stage_names import stage_title

ENDED = "ended"
"""The tag of the output with the ledger rows of documents that end at a stage."""

In = TypeVar("In")
Out = TypeVar("Out")


def _nothing() -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Step(Generic[In, Out]):
    """What a stage does, and how to end it.

    call: the function of one document (or of a list of them). close: ends threads and connections. counts: totals that
    the step itself counts, for the metrics.
    """

    call: Callable[[In], Out]
    close: Callable[[], None] = _nothing
    counts: Callable[[], Mapping[str, int]] = dict

    def __call__(self, value: In) -> Out:
        return self.call(value)


class Stage(beam.DoFn):
    """One named stage of the DAG. `stage` is one of `schemas.stage_names.STAGES`."""

    def __init__(self, run: Run, stage: str, make: Callable[[Run], Step[Any, Any]]):
        self.run, self.stage, self.make = run, stage, make

    @property
    def label(self) -> str:
        """The stage's name in the graph."""
        return stage_title(self.stage)

    def setup(self) -> None:
        keep_tar_indexes(self.run)
        with failures.recorded(self.run.failures, self.stage):
            check_libraries(self.run)
            self.step = self.make(self.run)
        packs.outdated()
        self.counter = progress.counter(self.run.counts)
        self.images = image_store(self.run)
        self.lowest: dict[str, list[str]] = {}
        self.metrics = StageMetrics(self.stage)
        self.share = FailedShare(self.stage, self.run.config.limits.failed_at_most)

    def teardown(self) -> None:
        if step := getattr(self, "step", None):  # setup may have failed
            step.close()

    def finish_bundle(self) -> Iterator[Any] | None:
        self.metrics.add_counts(self.step.counts())
        with failures.recorded(self.run.failures, self.stage):
            packs.flush()
        return None

    def result(self, document: Document, get: Callable[[], Any]) -> Any:
        """The output for one document, from what `get` returns or raises."""
        self.counter.tick(self.label)
        try:
            found = get()
        except RecordFault as fault:
            return self._failed(document, fault)
        except Exception as error:
            failures.record(self.run.failures, self.stage, document.id, error)
            if self.run.keep_going and failures.is_bug(error):
                return self._failed(document, error)
            raise
        self.share.passed()
        last = DroppedDocument(document, found) if isinstance(found, Drop) else found
        if isinstance(last, DroppedDocument):
            outcome = outcomes.dropped(last.document, self.stage, last.drop, last.detail)
            keep_sample(self.run.store("dropped"), document, outcome, self.images.preview, self.lowest)
            self.metrics.count(DROPPED)
            return beam.pvalue.TaggedOutput(ENDED, outcome)
        self.metrics.count(PASSED)
        return found

    def _failed(self, document: Document, error: Exception) -> beam.pvalue.TaggedOutput[str, Outcome]:
        self.metrics.count(FAILED)
        outcome = outcomes.failed(document, self.stage, error)
        with failures.recorded(self.run.failures, self.stage, document.id):
            self.share.failed(outcome)
        return beam.pvalue.TaggedOutput(ENDED, outcome)


class Each(Stage):
    """Calls the step with one document after the other."""

    def process(self, document: Document) -> Iterator[Any]:
        started = time.monotonic()
        output = self.result(document, lambda: self.step(document))
        self.metrics.measure("milliseconds", _milliseconds(started))  # before the stages below take their time
        yield output


class Batches(Stage):
    """Calls the step with lists of up to `size` documents; it returns a list.

    If the step raises a fault, it is called again with each document alone, so that only the bad document fails.
    """

    def __init__(self, run: Run, stage: str, make: Callable[[Run], Step[Any, Any]], size: int):
        super().__init__(run, stage, make)
        self.size = size

    def start_bundle(self) -> None:
        self.waiting: list[Document] = []

    def process(self, document: Document) -> Iterator[Any]:
        self.counter.came(self.label)
        self.waiting.append(document)
        if len(self.waiting) >= self.size:
            yield from self.flush()

    def finish_bundle(self) -> Iterator[Any]:
        yield from _windowed(self.flush())
        super().finish_bundle()

    def flush(self) -> Iterator[Any]:
        """The outputs of the documents that wait for their batch."""
        documents, self.waiting = self.waiting, []
        if not documents:
            return
        started = time.monotonic()
        try:
            found = self.step(documents)
        except Exception as error:
            if not isinstance(error, RecordFault) and not (self.run.keep_going and failures.is_bug(error)):
                failures.record(self.run.failures, self.stage, documents[0].id, error)
                raise
            for document in documents:
                yield self.result(document, functools.partial(self._alone, document))
            return
        self.metrics.measure("batch_documents", len(documents))
        self.metrics.measure("milliseconds", _milliseconds(started))
        for document, one in zip(documents, found, strict=True):
            yield self.result(document, functools.partial(_value, one))

    def _alone(self, document: Document) -> Any:
        return self.step([document])[0]


class InFlight(Stage):
    """Keeps up to `size` documents in flight; the step returns a future.

    Results are passed on as they arrive, in any order: a slow answer delays no other, and the server is always busy.
    """

    def __init__(self, run: Run, stage: str, make: Callable[[Run], Step[Any, Any]], size: int):
        super().__init__(run, stage, make)
        self.size = size

    def start_bundle(self) -> None:
        self.window: Window[tuple[Document, float], Any] = Window(self.size)

    def process(self, document: Document) -> Iterator[Any]:
        self.counter.came(self.label)
        future: concurrent.futures.Future[Any] = self.step(document)
        yield from self._results(self.window.add((document, time.monotonic()), future))

    def finish_bundle(self) -> Iterator[Any]:
        yield from _windowed(self._results(self.window.drain()))
        super().finish_bundle()

    def _results(self, finished: Iterable[tuple[tuple[Document, float], Any]]) -> Iterator[Any]:
        for (document, started), found in finished:
            self.metrics.measure("milliseconds", _milliseconds(started))
            yield self.result(document, functools.partial(_value, found))


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _value(found: Any) -> Any:
    """The result of a future; raises its exception."""
    if isinstance(found, BaseException):
        raise found
    return found


def _windowed(outputs: Iterable[Any]) -> Iterator[Any]:
    """The outputs with their window, which finish_bundle has to state inside the tag."""
    for output in outputs:
        if isinstance(output, beam.pvalue.TaggedOutput):
            yield beam.pvalue.TaggedOutput(output.tag, GlobalWindows.windowed_value(output.value))
        else:
            yield GlobalWindows.windowed_value(output)
