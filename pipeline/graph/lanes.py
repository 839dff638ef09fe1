"""Lanes: so few keys for the documents of a run that no more workers than that ask the model servers at once.

A worker process asks up to `llm.concurrency` questions at once. How many processes ask is the engine's choice, unless all
documents of a key go through one of them. Here they do, so all processes together ask `llm.in_flight` at most.
"""

from __future__ import annotations

import zlib
from typing import Any

import apache_beam as beam

from pipeline.run import Run
from schemas.records import Document


class Lanes(beam.PTransform[Any, Any]):
    """Documents -> the same documents, in `count` groups; an engine gives each group to one worker, as a whole."""

    def __init__(self, count: int):
        super().__init__()
        self.count = count

    def expand(self, documents: beam.PCollection[Document]) -> beam.PCollection[Document]:
        grouped: beam.PCollection[Document] = (
            documents
            | "Choose" >> beam.Map(_with_lane, self.count)
            | "Group" >> beam.GroupByKey()
            | "Leave" >> beam.FlatMap(lambda lane: lane[1])
        )
        return grouped


def lanes_of(run: Run) -> int:
    """How many worker processes may ask at once, so that they ask `llm.in_flight` questions; 0: as many as there are.

    0 too on Beam's local runner, whose processes are few and known, and which would hold all documents of a lane.
    """
    llm = run.config.llm
    return max(1, llm.in_flight // llm.concurrency) if llm.in_flight and not run.groups else 0


def _with_lane(document: Document, count: int) -> tuple[int, Document]:
    return zlib.crc32(document.id.encode()) % count, document
