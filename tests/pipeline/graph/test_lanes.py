"""The questions of a whole run are asked by so many workers, and no more."""

from __future__ import annotations

import dataclasses
import pickle

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as PipelineUnderTest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph import lanes
from pipeline.graph.lanes import Lanes, lanes_of
from schemas.errors import ServiceError
from schemas.records import Document, Text
from tests.pipeline.runs import a_run, with_llm

DOCUMENTS = [Document(f"d{n}", "test", (Text(f"Text {n}"),)) for n in range(60)]


def test_every_document_comes_out_of_one_of_the_lanes(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "TOGETHER", 7)
    with PipelineUnderTest(runner="FnApiRunner") as p:
        assert_that(p | beam.Create(DOCUMENTS) | Lanes(a_run(tmp_path), 3), equal_to(DOCUMENTS))
    assert len(list((tmp_path / "out/.staging/run/lanes").iterdir())) >= 60 // 7


def test_what_an_engine_groups_does_not_grow_with_the_documents(tmp_path):
    """It holds all that belongs to a lane as one value."""
    run = a_run(tmp_path)
    lane, name = lanes._write(DOCUMENTS, run, 3)
    assert 0 <= lane < 3 and len(name) == 64
    assert list(lanes._read((lane, [name]), run)) == DOCUMENTS


def test_a_file_with_other_bytes_than_those_that_were_written_is_not_read(tmp_path):
    run = a_run(tmp_path)
    lane = lanes._write(DOCUMENTS, run, 1)
    (tmp_path / "out/.staging/run/lanes" / lane[1]).write_bytes(pickle.dumps(DOCUMENTS[:1]))
    with pytest.raises(ServiceError, match="is damaged"):
        list(lanes._read((0, [lane[1]]), run))


@pytest.mark.parametrize(
    "in_flight, concurrency, groups, count",
    [(None, 64, "", 0), (256, 64, "", 4), (300, 64, "", 4), (10, 64, "", 1), (256, 64, "a folder of this machine", 0)],
)
def test_lanes_times_the_questions_of_a_worker_are_those_in_flight(tmp_path, in_flight, concurrency, groups, count):
    run = with_llm(a_run(tmp_path), in_flight=in_flight, concurrency=concurrency)
    assert lanes_of(dataclasses.replace(run, groups=groups)) == count
