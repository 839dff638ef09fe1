"""Scores of a corpus that somebody else made: the table, the page, and how far the scores can be trusted."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli import main
from pipeline.config import Ocr, load
from pipeline.launch import score
from pipeline.launch.stored import measured
from pipeline.report.scored import page
from pipeline.selftest.proof import belief, proof
from schemas.errors import UserError
from schemas.records import Coherence, StoredDocument, StoredImage, Text
from tests.answers import MODEL, server
from tests.pipeline.runs import ROOT, a_run, demo_tree

COHERENCE = ROOT / "build/models/coherence"


def cells(text):
    return [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", text, re.S)]


def test_the_page_says_which_damage_a_measure_does_not_notice():
    better, same = [(0.3, 0.1)] * 40, [(0.2, 0.2)] * 40
    proofs = [proof("swapped", better), proof("permuted", same), proof("other_texts", [])]
    proven = {"margin": (belief("margin", proofs), proofs)}
    found = page("mmc4:x", ["clip"], {"records": 40}, {"coherence": [0.1]}, {}, proven, [])
    assert cells(found)[-12:] == [
        *("margin", "all images swapped within the source", "40", "0.300 and 0.100", "1.00", "1.00 to 1.00"),
        *("margin", "images in another order", "40", "0.200 and 0.200", "0.50", "0.50 to 0.50"),
    ]
    assert "cannot tell documents with images in another order (AUC 0.50)" in found


def test_the_page_takes_nothing_of_a_document_as_markup():
    row = (0.1, "<b>id</b>", "<script>alert(1)</script>")
    found = page("x:y", ["m"], {}, {"coherence": []}, {"record: bad_json": 1}, {}, [("The lowest", [row])])
    assert "<script>" not in found and "<b>id" not in found and "1</b> record: bad_json" in found


def test_text_in_pictures_describes_them_if_the_configuration_reads_it(tmp_path, monkeypatch):
    image = StoredImage("x.png", width=64, height=64, sha256="0", extension="png")
    document = StoredDocument("d", "test", (Text("Turmeric stains."), image))
    run = a_run(tmp_path, ocr=Ocr(0.5, 0.1, 0.4))
    seen = []

    class Scorer:
        def score(self, documents, open_image):
            seen.extend(image.ocr for document in documents for image in document.images)
            return [Coherence((0.2,), (0.2,), (-1.0,), None, None, "m")]

    def read(_, documents):
        return [StoredDocument.of(d, segments=(d.segments[0], replace(image, ocr="TURMERIC"))) for d in documents]

    monkeypatch.setattr(score, "_stored", lambda _: iter([document]))
    monkeypatch.setattr(score, "read", read)
    ((row,),) = score._measured(run, Scorer(), None, score._Totals(0))
    assert seen == ["TURMERIC"] and row["image_adds"] == 0 and row["text_adds"] > 0


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
    assert (
        main(
            [
                *command,
                "--output",
                str(folder / "plain"),
                "--work",
                str(folder / "out/.work"),
                "--limit",
                "6",
                "--proof",
                "0",
            ]
        )
        == 0
    )
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
    assert 0.2 < good["complementarity"] < 0.9
    assert good["complementarity"] == pytest.approx((good["text_adds"] + good["image_adds"]) / 2, abs=1e-4)
    assert 0 <= good["recall_at_1"] <= 1 and dict(good["ratings"])["fluency"] == good["mean_rating"] == 5


def test_without_a_server_there_are_no_ratings_and_the_same_scores(scored):
    found, before = rows(scored / "plain"), rows(scored / "out")
    assert len(found) == 6 and all(row["mean_rating"] is None for row in found.values())
    assert [row["coherence"] for row in found.values()] == [before[id_]["coherence"] for id_ in found]


def told(page: str) -> dict[tuple[str, str], list[str]]:
    """(measure, damage) -> documents, medians, AUC, interval."""
    found = cells(page[page.index('id="belief"') :])
    return {(found[at], found[at + 1]): found[at + 2 : at + 6] for at in range(0, len(found), 6)}


def test_the_measures_notice_damage_of_the_example_corpus(scored):
    """Real pictures and the embedded model: swapped pictures cost coherence, and copied captions complementarity.

    A handful of documents: rounding, which differs between processors, may turn a pair of them.
    """
    found = told((scored / "out/scores.html").read_text())
    assert float(found["coherence", "all images swapped within the source"][2]) > 0.55
    assert float(found["coherence", "texts of another document"][2]) > 0.6
    assert float(found["complementarity", "captions in place of the text"][2]) > 0.9
    assert int(found["margin", "images in another order"][0]) > 20


def test_ratings_that_are_the_same_for_shuffled_sentences_are_not_believed(scored):
    """The stand-in for a language model rates every text 5."""
    page = (scored / "out/scores.html").read_text()
    assert told(page)["mean_rating", "sentences in another order"][2] == "0.50"
    assert "mean_rating cannot tell documents with sentences in another order" in page


def test_without_a_proof_no_measure_is_believed(scored):
    page = (scored / "plain/scores.html").read_text()
    assert "coherence is not proven. No copies of documents were damaged (--proof)." in page and not told(page)
    assert "No document has an image with a caption" not in page, "they have alternative texts"


def test_nothing_but_the_two_files_and_the_caches_is_written(scored):
    assert {path.name for path in (scored / "out").iterdir()} == {"scores.parquet", "scores.html", ".work"}
    assert json.dumps(sorted(path.name for path in (scored / "plain").iterdir())) == '["scores.html", "scores.parquet"]'


@pytest.mark.parametrize("folder", ["", "/"])
def test_nothing_is_written_below_the_root_because_a_name_is_empty(folder):
    with pytest.raises(UserError, match="--output must name a folder"):
        score.score("demo", "native:x", folder, limit=None, llm_url=None, work=None, proof=0)
    with pytest.raises(UserError, match="--work must name a folder"):
        measured(load(str(ROOT / "configs/demo.yaml")), folder)
