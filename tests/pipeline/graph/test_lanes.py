"""The questions of a whole run are asked by so many workers, and no more."""

from __future__ import annotations

import dataclasses

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as PipelineUnderTest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph.lanes import Lanes, lanes_of
from schemas.records import Document, Text
from tests.pipeline.runs import a_run, with_llm

DOCUMENTS = [Document(f"d{n}", "test", (Text(f"Text {n}"),)) for n in range(60)]


def test_every_document_comes_out_of_one_of_the_lanes():
    with PipelineUnderTest(runner="FnApiRunner") as p:
        assert_that(p | beam.Create(DOCUMENTS) | Lanes(3), equal_to(DOCUMENTS))


@pytest.mark.parametrize(
    "in_flight, concurrency, groups, lanes",
    [(None, 64, "", 0), (256, 64, "", 4), (300, 64, "", 4), (10, 64, "", 1), (256, 64, "a folder of this machine", 0)],
)
def test_lanes_times_the_questions_of_a_worker_are_those_in_flight(tmp_path, in_flight, concurrency, groups, lanes):
    run = with_llm(a_run(tmp_path), in_flight=in_flight, concurrency=concurrency)
    assert lanes_of(dataclasses.replace(run, groups=groups)) == lanes
