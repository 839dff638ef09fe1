"""The stage that reads images: what it keeps, and what it never reads twice."""

import dataclasses

import pytest

from pipeline.config import Ocr
from pipeline.graph import ocr, stages
from schemas.errors import UserError
from tests.pipeline.runs import a_run
from tests.tiny_clip import document

reader_module = pytest.importorskip("pipeline.ocr.reader", reason="the extra `ocr` is not installed")
LIMITS = Ocr(0.5, 0.1, 0.3)


@pytest.fixture
def asked(monkeypatch):
    """The images that were read, by a reader that reads their hashes; those that end in 0 have no text."""
    seen = []

    class Reader:
        def __init__(self, side, boxes):
            pass

        def read_all(self, hashes, open_image):
            seen.extend(hashes)
            return {sha256: "" if sha256.endswith("0") else f"text {sha256}" for sha256 in hashes}

        def close(self):
            seen.append("closed")

    monkeypatch.setattr(reader_module, "Reader", Reader)
    return seen


def texts(documents):
    return [[image.ocr for image in document.images] for document in documents]


def test_every_image_is_read_once_and_its_text_kept(tmp_path, asked):
    pages = [document("One.", 11, "Two.", 20, 11, id="a"), document("Three.", 20, 12, id="b")]
    step = ocr.read_images(a_run(tmp_path, ocr=LIMITS))
    assert texts(step(pages)) == [["text 11", "", "text 11"], ["", "text 12"]]
    assert asked == ["11", "20", "12"]
    step.close()
    assert asked[-1] == "closed"
    again = ocr.read_images(a_run(tmp_path, ocr=LIMITS))
    assert texts(again(pages)) == [["text 11", "", "text 11"], ["", "text 12"]]
    assert asked[3:] == ["closed"] and again.counts()["from_cache"] == 3


def test_other_limits_read_again(tmp_path, asked):
    for limits in (LIMITS, dataclasses.replace(LIMITS, boxes=4)):
        ocr.read_images(a_run(tmp_path, ocr=limits))([document("One.", 11)])
    assert asked == ["11", "11"]


def test_without_the_engine_the_user_is_told_what_to_install(tmp_path, monkeypatch):
    def missing(side, boxes):
        raise ModuleNotFoundError("No module named 'rapidocr'", name="rapidocr")

    monkeypatch.setattr(ocr, "version", missing)
    with pytest.raises(UserError, match=r"needs rapidocr: pip install 'leafinstruct\[ocr\]'"):
        ocr.read_images(a_run(tmp_path, ocr=LIMITS))


def test_a_score_is_kept_for_the_text_that_it_was_made_with(tmp_path, monkeypatch):
    scored = []

    class Scorer:
        def __init__(self, *_, ocr):
            self.ocr = ocr

        def score(self, documents, open_image):
            from schemas.records import Coherence

            scored.extend((self.ocr, document.images[0].ocr) for document in documents)
            return [Coherence((0.1,), (0.1,), (-1.0,), None, None, "m") for _ in documents]

    monkeypatch.setattr("pipeline.coherence.scorer.Scorer", Scorer)
    monkeypatch.setattr("pipeline.graph.loaded.clip_version", lambda *_: "clip")
    page = document("One.", 11)
    read = dataclasses.replace(page, segments=(page.segments[0], dataclasses.replace(page.segments[1], ocr="A")))
    for limits, one in ((None, page), (LIMITS, read), (LIMITS, read), (dataclasses.replace(LIMITS, words=0.2), read)):
        stages.score_coherence(a_run(tmp_path, ocr=limits))([one])
    assert scored == [(None, None), (LIMITS, "A"), (dataclasses.replace(LIMITS, words=0.2), "A")]
