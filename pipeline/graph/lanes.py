"""Lanes: so few keys for the documents of a run that no more workers than that ask the model servers at once.

A worker process asks up to `llm.concurrency` questions at once. How many processes ask is the engine's choice, unless all
documents of a key go through one of them. Here they do, so all processes together ask `llm.in_flight` at most.

Flink and Spark hold all values of a key in memory, and send them to a worker as one message, of 2 GiB at most. So the
documents are in files of the staging folder, and the names of these are what is grouped.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from pipeline.graph import failures
from pipeline.run import Run
from pipeline.storage import files
from schemas.errors import AGAIN, ServiceError
from schemas.records import Document

TOGETHER = 100
"""Documents in a file, at most; a worker holds those of one file, some kilobytes each."""


class Lanes(beam.PTransform[Any, Any]):
    """Documents -> the same documents, in `count` groups; an engine gives each group to one worker, as a whole."""

    def __init__(self, run: Run, count: int):
        super().__init__()
        self.run, self.count = run, count

    def expand(self, documents: beam.PCollection[Document]) -> beam.PCollection[Document]:
        grouped: beam.PCollection[Document] = (
            documents
            | "Batch" >> beam.BatchElements(TOGETHER, TOGETHER, record_metrics=False)
            | "Write" >> beam.Map(_write, self.run, self.count).with_output_types(tuple[int, str])
            | "Group" >> beam.GroupByKey()
            | "Read" >> beam.FlatMap(_read, self.run)
        )
        return grouped


def lanes_of(run: Run) -> int:
    """How many worker processes may ask at once, so that they ask `llm.in_flight` questions; 0: as many as there are.

    0 too on Beam's local runner, whose processes are few and known.
    """
    llm = run.config.llm
    return max(1, llm.in_flight // llm.concurrency) if llm.in_flight and not run.groups else 0


def _write(documents: list[Document], run: Run, count: int) -> tuple[int, str]:
    """The lane of the documents, and the name of the file that has them: a hash of its bytes."""
    data = pickle.dumps(documents, pickle.HIGHEST_PROTOCOL)
    name = hashlib.sha256(data).hexdigest()
    with failures.recorded(run.failures, "questions"):
        files.write_bytes(_path(run, name), data)
    return int(name, 16) % count, name


def _read(lane: tuple[int, Iterable[str]], run: Run) -> Iterator[Document]:
    for name in lane[1]:
        with failures.recorded(run.failures, "questions"):
            data = files.get(_path(run, name))
            if hashlib.sha256(data).hexdigest() != name:  # a pickle may run code, so only what this run wrote is read
                raise ServiceError(f"{_path(run, name)} is damaged; {AGAIN}")
        yield from pickle.loads(data)


def _path(run: Run, name: str) -> str:
    return f"{run.staging}/lanes/{name}"
