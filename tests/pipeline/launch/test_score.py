"""Scores of a corpus that somebody else made: the table, the page, and how far the scores can be trusted."""

from __future__ import annotations

import html
import json
import re

import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli import main
from pipeline.report.scored import Control, page
from tests.answers import MODEL, server
from tests.pipeline.runs import ROOT, demo_tree

COHERENCE = ROOT / "build/models/coherence"


def cells(text):
    return [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", text, re.S)]


def test_the_page_says_which_damage_a_measure_does_not_detect():
    better, same, worse = [(0.3, 0.1)] * 40, [(0.2, 0.2)] * 40, [(0.1, 0.3)] * 40
    pairs = {"coherence": better, "margin": same, "recall_at_1": worse}
    found = page("mmc4:x", ["clip"], {"records": 40}, {"coherence": [0.1]}, {}, [Control("swapped", pairs)], [])
    assert cells(found)[-18:] == [
        *("swapped", "coherence", "40", "0.300 and 0.100", "100% ± 0%", "detects it"),
        *("swapped", "margin", "40", "0.200 and 0.200", "50% ± 0%", "does not detect it"),
        *("swapped", "recall_at_1", "40", "0.100 and 0.300", "0% ± 0%", "does not detect it"),
    ]


def test_the_page_takes_nothing_of_a_document_as_markup():
    row = (0.1, "<b>id</b>", "<script>alert(1)</script>")
    found = page("x:y", ["m"], {}, {"coherence": []}, {"record: bad_json": 1}, [], [("The lowest", [row])])
    assert "<script>" not in found and "<b>id" not in found and "1</b> record: bad_json" in found


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    if not COHERENCE.is_dir():
        pytest.skip("build/models is not there: run `make models`")
    folder = tmp_path_factory.mktemp("score")
    tree = demo_tree()
    tree["llm"]["name"] = MODEL
    tree["clip"]["model"] = f"local-dir:{COHERENCE}"
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    command = ["score", f"native:{ROOT}/examples/corpus", "--config", str(folder / "config.yaml")]
    with server() as llm:
        assert main([*command, "--output", str(folder / "out"), "--llm-url", llm.url]) == 0
    assert main([*command, "--output", str(folder / "plain"), "--work", str(folder / "out/.work"), "--limit", "6"]) == 0
    return folder


def rows(folder):
    return {row["id"]: row for row in pq.read_table(folder / "scores.parquet").to_pylist()}


def test_every_record_has_a_row_filtered_or_not(scored):
    lines = (ROOT / "examples/corpus/docs.jsonl").read_text().splitlines()
    assert pq.read_table(scored / "out/scores.parquet").num_rows == len(lines)
    found = rows(scored / "out")
    assert found["bad-truncated-jpeg"]["error"] == "no_images"
    assert found["bad-truncated-jpeg"]["lost_images"] == ["truncated"]
    assert found["bad-repetition"]["error"] in ("", "no_excerpt") and found["bad-repetition"]["coherence"] is not None
    assert {row["error"] for id_, row in found.items() if id_.startswith("unread:")} == {"bad_json", "bad_record"}
    good = found["science-count-galaxies"]
    assert len(good["matched"]) == good["images"] == 3 and good["margin"] is not None
    assert 0 <= good["recall_at_1"] <= 1 and dict(good["ratings"])["fluency"] == good["mean_rating"] == 5


def test_without_a_server_there_are_no_ratings_and_the_same_scores(scored):
    found, before = rows(scored / "plain"), rows(scored / "out")
    assert len(found) == 6 and all(row["mean_rating"] is None for row in found.values())
    assert [row["coherence"] for row in found.values()] == [before[id_]["coherence"] for id_ in found]


def test_the_measures_detect_damage_of_the_example_corpus(scored):
    """Real pictures and the embedded model: swapped pictures must cost coherence."""
    told = cells((scored / "out/scores.html").read_text())
    at = told.index("images of other documents")
    assert told[at + 1] == "coherence" and told[at + 5] in ("detects it", "detects it weakly")


def test_nothing_but_the_two_files_and_the_caches_is_written(scored):
    assert {path.name for path in (scored / "out").iterdir()} == {"scores.parquet", "scores.html", ".work"}
    assert json.dumps(sorted(path.name for path in (scored / "plain").iterdir())) == '["scores.html", "scores.parquet"]'
