"""An exact order that every run finds again."""

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline as PipelineUnderTest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph.rank import RankByHash
from schemas.codec import rank_of

IDS = [f"document {i}" for i in range(700)]


@pytest.mark.parametrize("ids", [IDS, IDS[::-1], [], ["one"]], ids=["sorted", "reversed", "none", "one"])
def test_ranks_are_those_of_the_salted_hash(ids, disk):
    expected = [(rank, (id_, id_)) for rank, id_ in enumerate(sorted(ids, key=lambda i: rank_of(i, "salt")))]
    with PipelineUnderTest(runner="FnApiRunner") as p:
        assert_that(
            p | beam.Create([(i, i) for i in ids]) | RankByHash("salt", lambda pair: pair[0], disk), equal_to(expected)
        )


def test_another_salt_is_another_order():
    assert sorted(IDS, key=lambda i: rank_of(i, "a")) != sorted(IDS, key=lambda i: rank_of(i, "b"))


def test_an_id_given_twice_is_refused(disk):
    with pytest.raises(Exception, match="the same id"), PipelineUnderTest(runner="FnApiRunner") as p:
        _ = p | beam.Create([("a", 1), ("a", 2)]) | RankByHash("salt", lambda pair: pair[0], disk)
