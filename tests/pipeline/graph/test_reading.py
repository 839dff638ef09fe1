"""Work items, and documents that come twice."""

import dataclasses
import gzip
import json

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline import corpora
from pipeline.config import Corpus
from pipeline.graph import reading
from pipeline.graph.headings import HEADINGS
from pipeline.graph.repeats import Identity, Repeat, Repeats
from pipeline.graph.table import AsTable
from pipeline.graph.transforms import ENDED
from schemas.errors import UserError
from schemas.records import Document, Text
from tests.pipeline.runs import ROOT, a_run

EXAMPLES = Corpus("native", str(ROOT / "examples/corpus"))


def test_limit_counts_records(tmp_path):
    parts = list(reading.plan(a_run(tmp_path, corpora=(EXAMPLES,), limit=7)))
    assert [part.count for part in parts] == [7]


def test_limit_takes_no_more_of_a_compressed_file_than_it_holds(tmp_path):
    line = b'{"id": "a", "segments": []}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line * 3))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line * 30)[:-8])  # damaged: an unreadable end is a record
    (tmp_path / "c.jsonl").write_bytes(line * 30)
    (tmp_path / "d.tar").write_bytes(b"no tar" * 1000)
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(line * 30))
    corpus = (Corpus("native", str(tmp_path)),)
    for limit, counts in ((2, [2]), (5, [3, 2]), (40, [3, 31, 6]), (66, [3, 31, 30, 1, 1])):
        parts = list(reading.plan(a_run(tmp_path, corpora=corpus, limit=limit)))
        assert [part.count for part in parts] == counts
        assert sum(len(list(corpora.read(part))) for part in parts) == limit


def test_a_limit_opens_no_file_behind_it(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_bytes(b'{"id": "a", "segments": []}\n' * 2)
    opened = []
    divided = corpora.divided
    monkeypatch.setattr(corpora, "divided", lambda part: opened.append(part.name) or divided(part))
    corpus = Corpus("native", str(tmp_path))
    assert len(list(reading.plan(a_run(tmp_path, corpora=(corpus,), limit=3)))) == 2
    assert opened == ["a.jsonl", "b.jsonl"]
    own = dataclasses.replace(corpus, limit=2)
    opened.clear()
    assert len(list(reading.plan(a_run(tmp_path, corpora=(own,))))) == 1 and opened == ["a.jsonl"]


def test_a_file_in_two_corpora_is_refused(tmp_path):
    twice = (EXAMPLES, Corpus("native", f"{EXAMPLES.path}/docs.jsonl"))
    with pytest.raises(UserError, match="name it once"):
        list(reading.plan(a_run(tmp_path, corpora=twice)))


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_by_line_stays(order, disk):
    identities = [("a", "f:2", "x"), ("a", "f:10", "y"), ("b", "f:9", "x"), ("c", "e:1", "z"), ("b", "f:11", "x")]
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create([Identity(*i) for i in identities[::order]]) | Repeats(disk=disk)
        assert_that(
            found | beam.MapTuple(lambda at, r: (at, r.rule, r.value, r.first)),
            equal_to(
                [("f:10", "duplicate_id", 2, "a"), ("f:9", "duplicate_text", 2, "a"), ("f:11", "duplicate_id", 2, "b")]
            ),
        )


@pytest.mark.parametrize("order", [1, -1])
def test_a_text_whose_first_document_goes_because_of_its_id_is_not_lost(order, disk):
    """f:2 has the id of f:1, so the first of the text y is f:3, not f:2."""
    identities = [("a", "f:1", "x"), ("a", "f:2", "y"), ("b", "f:3", "y"), ("c", "f:4", "y")]
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create([Identity(*i) for i in identities[::order]]) | Repeats(disk=disk)
        assert_that(
            found | beam.MapTuple(lambda at, r: (at, r.rule, r.value, r.first)),
            equal_to([("f:2", "duplicate_id", 2, "a"), ("f:4", "duplicate_text", 2, "b")]),
        )


@pytest.mark.parametrize("order", [1, -1])
def test_the_corpus_that_is_named_first_wins_and_an_id_with_another_text_is_said_to_be_taken(order, disk):
    """z is named before a. The id 1 is of two texts, the id 2 of one text in both, the id 3 of two texts in one corpus."""
    identities = [
        Identity("1", "z:1", "lemonade", corpus=0),
        Identity("2", "z:2", "roses", corpus=0),
        Identity("3", "z:3", "boats", corpus=0),
        Identity("3", "z:4", "boats, again", corpus=0),
        Identity("1", "a:1", "pruning", corpus=1),
        Identity("2", "a:2", "roses", corpus=1),
        Identity("4", "a:3", "boats", corpus=1),
    ]
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create(identities[::order]) | Repeats(disk=disk)
        assert_that(
            found | beam.MapTuple(lambda at, r: (at, r.rule, r.value, r.first)),
            equal_to(
                [
                    ("a:1", "id_taken", 2, "1"),
                    ("a:2", "duplicate_id", 2, "2"),
                    ("z:4", "duplicate_id", 2, "3"),
                    ("a:3", "duplicate_text", 2, "3"),
                ]
            ),
        )


def test_every_part_and_document_knows_the_number_of_its_corpus(tmp_path):
    paths = [tmp_path / "z", tmp_path / "a", tmp_path / "m.jsonl.gz"]
    line = b'{"id": "1", "segments": [{"text": "a saw"}]}\n'
    for path in paths[:2]:
        path.mkdir()
        (path / "docs.jsonl").write_bytes(line)
    paths[2].write_bytes(gzip.compress(line))
    run = a_run(tmp_path, corpora=tuple(Corpus("native", str(path)) for path in paths))
    parts = list(reading.parts(run))
    assert [(part.name, part.corpus) for part in parts] == [("docs.jsonl", 0), ("docs.jsonl", 1), ("m.jsonl.gz", 2)]
    with beam.Pipeline(runner="FnApiRunner") as p:
        divided = p | beam.Create([run]) | beam.FlatMap(reading.plan) | reading.Divide(run)
        identities = divided | beam.FlatMap(reading.identify, run).with_outputs(HEADINGS, main="identities")
        assert_that(
            identities["identities"] | beam.Map(lambda i: (i.location, i.corpus)),
            equal_to([(f"{part.file}:1", part.corpus) for part in parts]),
        )


def test_the_ledger_names_the_id_that_is_taken(tmp_path):
    document = Document("1", "s", (Text("pruning"),), location="a:1")
    stage = reading.Deduplicate(a_run(tmp_path))
    stage.setup()
    for rule, detail in (("id_taken", "its id is 1"), ("duplicate_id", "repeats 1")):
        (row,) = (found.value for found in stage.process(document, {"a:1": Repeat(rule, 2.0, "1")}))
        assert (row.id, row.rule, row.detail) == ("duplicate_id:a:1", rule, detail)


def test_the_ids_of_the_ledger_are_distinct_whatever_a_corpus_claims(tmp_path, disk):
    """Line 2 is broken, line 4 repeats line 3; the others bear every id that those rows could be given."""
    path = f"{tmp_path}/docs.jsonl"
    claimed = ["a", None, "d", "d", f"{path}:2", f"unread:{path}:2", f"d@{path}:4", f"duplicate_id:{path}:4"]
    lines = [
        "not json" if id_ is None else json.dumps({"id": id_, "segments": [{"text": f"step {n}"}]})
        for n, id_ in enumerate(claimed)
    ]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    run = a_run(tmp_path)
    with beam.Pipeline(runner="FnApiRunner") as p:
        parts = p | beam.Create(list(corpora.parts("native", path)))
        identified = parts | beam.FlatMap(reading.identify, run).with_outputs(HEADINGS, main="identities")
        repeats = identified["identities"] | Repeats(disk=disk) | AsTable()
        ids = []
        for do, side in ((reading.Read(run), None), (reading.Deduplicate(run), beam.pvalue.AsSingleton(repeats))):
            parts = parts | do.label >> beam.ParDo(do, side).with_outputs(ENDED, main="passed")
            ids.append(parts[ENDED])
            parts = parts["passed"]
        found = (*ids, parts) | beam.Flatten() | beam.Map(lambda row: row.id)
        assert_that(
            found,
            equal_to(
                [
                    "a",
                    f"unread:{path}:2",
                    "d",
                    f"duplicate_id:{path}:4",
                    f"{path}:2",
                    f"unread:{path}:6",
                    f"d@{path}:4",
                    f"unread:{path}:8",
                ]
            ),
        )
