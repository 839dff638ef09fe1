"""Limits and weights of a mixture: which records are read."""

from __future__ import annotations

import pytest

from pipeline import corpora
from pipeline.cli import main
from pipeline.config import Config, Corpus, load
from pipeline.corpora.files import sampled
from pipeline.graph import reading
from schemas.errors import UserError
from schemas.records import Fault
from tests.pipeline.runs import a_run


def record(i):
    return {"id": f"d{i}", "segments": [{"text": "Cut."}]}


def ids(run):
    return [d.id for part in reading.plan(run) for d in corpora.read(part)]


def test_a_weight_reads_its_share_and_a_larger_one_all_of_it(jsonl, tmp_path):
    path = jsonl(*map(record, range(2000)))
    found = [set(ids(a_run(tmp_path, corpora=(Corpus("native", path, weight=weight),)))) for weight in (0.1, 0.3, 1.0)]
    assert [len(some) for some in found] == pytest.approx([200, 600, 2000], abs=60)
    assert found[0] < found[1] < found[2]


def test_the_sample_does_not_depend_on_where_the_corpus_lies_or_how_it_is_cut(jsonl, tmp_path, monkeypatch):
    first = ids(a_run(tmp_path, corpora=(Corpus("native", jsonl(*map(record, range(300))), weight=0.2),)))
    monkeypatch.setattr("pipeline.corpora.lines.PART_LINES", 7)
    again = jsonl(*map(record, range(300)), name="elsewhere/docs.jsonl")
    assert ids(a_run(tmp_path, corpora=(Corpus("native", again, weight=0.2),))) == first


def test_each_corpus_has_its_limit_and_all_have_one(jsonl, tree, tmp_path):
    lines = jsonl(*map(record, range(300)))
    pages = tree(**{f"pages/{i}.md": f"# Page {i}" for i in range(9)}) + "/pages"

    def count(limit, *limits):
        run = a_run(
            tmp_path,
            limit=limit,
            corpora=(Corpus("native", lines, limit=limits[0]), Corpus("markdown", pages, limit=limits[1])),
        )
        found = [d for part in reading.plan(run) for d in corpora.read(part)]
        return sum(d.source == "native" for d in found), sum(d.source == "markdown" for d in found)

    assert count(None, 250, 4) == (250, 4)
    assert count(252, 250, 4) == (250, 2)
    assert count(100, 250, 4) == (100, 0)
    assert count(None, None, 100) == (300, 9)


def test_damage_is_told_whatever_the_weight(jsonl, read_all, tmp_path):
    import gzip

    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "segments": []}\n' * 30)[:-8])
    [part] = corpora.parts("native", str(tmp_path / "a.jsonl.gz"), 0.0001)
    assert [type(found) for found in corpora.read(part)] == [Fault]


def test_a_sample_is_a_share():
    assert sum(sampled(f"docs.jsonl:{i}", 0.25) for i in range(10_000)) == pytest.approx(2500, abs=150)


@pytest.mark.parametrize(
    "given, words",
    [
        ("weight: 0", "weight is a share above 0"),
        ("weight: 1.5", "weight is a share"),
        ("limit: 0", "limit must be at least 1"),
    ],
)
def test_impossible_mixtures_are_refused(tmp_path, given, words):
    from tests.pipeline.runs import ROOT

    text = (
        (ROOT / "configs/demo.yaml").read_text().replace("path: examples/corpus}", f"path: examples/corpus, {given}}}")
    )
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"corpora\[0\].{words}"):
        load(str(tmp_path / "config.yaml"))


def test_every_format_says_what_it_is_how_to_get_it_and_under_what_terms(capsys):
    assert main(["corpora"]) == 0
    said = capsys.readouterr().out
    for name in corpora.FORMATS:
        shape = corpora.format_of(name)
        assert shape.about and shape.get and shape.terms
        assert f"{name}: {shape.about}" in said and shape.terms in said


def test_a_mixture_in_a_configuration(tmp_path):
    from tests.pipeline.runs import ROOT

    text = (
        (ROOT / "configs/demo.yaml")
        .read_text()
        .replace(
            "  - {format: native, path: examples/corpus}",
            "  - {format: native, path: examples/corpus, limit: 5, weight: 0.5}\n  - {format: warc, path: crawl}",
        )
    )
    (tmp_path / "config.yaml").write_text(text)
    config: Config = load(str(tmp_path / "config.yaml"))
    assert config.corpora == (Corpus("native", "examples/corpus", 5, 0.5), Corpus("warc", "crawl"))
