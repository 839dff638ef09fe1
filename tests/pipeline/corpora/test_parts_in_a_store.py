"""What reading JSON Lines in an object store costs, in bytes, and who reads them."""

from __future__ import annotations

import io
import json

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from benchmarks.rehearsal import bucket
from pipeline import corpora
from pipeline.corpora import cut
from pipeline.graph import reading
from pipeline.launch.inputs import fingerprints
from pipeline.sources import Corpus
from pipeline.storage import bucket as stores
from schemas.records import Document
from tests.pipeline.runs import a_run

URL = "counted://bucket/corpus"
DATA = "".join(
    json.dumps({"id": f"d{n}", "segments": [{"text": "Saw the board. " * 100}]}) + "\n" for n in range(1000)
).encode()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "STORES", dict(stores.STORES))
    stores._opened.cache_clear()
    folder = bucket.opened(tmp_path)
    folder.write("corpus/docs.jsonl", io.BytesIO(DATA))
    yield folder
    stores._opened.cache_clear()


def test_a_part_is_read_without_the_bytes_of_the_next(folder):
    parts = list(corpora.parts("native", URL))
    folder.counts.clear()
    found = [record for part in parts for record in corpora.read(part)]
    assert len(parts) == 5 and [one.id for one in found if isinstance(one, Document)] == [f"d{n}" for n in range(1000)]
    assert folder.counts["bytes corpus jsonl"] == len(DATA) > 1 << 20


def test_the_launcher_and_the_planner_read_none_of_it(folder, tmp_path):
    [one] = fingerprints([Corpus("native", URL)])
    [file] = reading.plan(a_run(tmp_path, corpora=(Corpus("native", URL),)))
    assert one["bytes"] == len(DATA) and not file.counted
    assert folder.counts["bytes corpus jsonl"] == 0


def test_workers_count_the_lines_of_a_file_by_ranges(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cut, "RANGE", len(DATA) // 3)
    run = a_run(tmp_path, corpora=(Corpus("native", URL),))
    [file] = reading.plan(run)
    assert [one.size for one in corpora.divided(file)] == [len(DATA) // 3] * 3 + [len(DATA) % 3]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        parts = pipeline | beam.Create([file]) | reading.Divide(run)
        assert_that(parts, equal_to(list(corpora.parts("native", URL))))
