"""The self-test on the example corpus: what a scorer that knows and one that guesses are told to be."""

import json
import pathlib

import numpy as np
import pytest
import yaml

from pipeline import corpora
from pipeline.cli import main
from pipeline.coherence import scorer as clip
from pipeline.coherence.places import places
from pipeline.coherence.scorer import coherence
from pipeline.graph import loaded
from pipeline.launch import stored
from schemas.records import Document
from tests.answers import MODEL
from tests.fake_openai import FakeOpenAI
from tests.pipeline.runs import ROOT, demo_tree

CORPUS = str(ROOT / "examples/corpus")
PLACES = {
    record.texts: [image.uri for image in record.images]
    for part in corpora.parts("native", CORPUS)
    for record in corpora.read(part)
    if isinstance(record, Document)
}
"""The images of each document of the corpus in their order, by its texts."""


class Scorer:
    """Cosines that hashes decide: 0.9 to 1 for an image in its own document and place, if it knows, else 0 to 1."""

    knows = True

    def __init__(self, *_, **__):
        pass

    def score(self, documents, open_image):
        return [self._score(document) for document in documents]

    def _score(self, document):
        draw = np.array(
            [
                [
                    (int(i.sha256[:8], 16) * (len(" ".join(place.sentences)) + 7)) % 1000 / 1000
                    for place in places(document)
                ]
                for i in document.images
            ]
        )
        if self.knows:
            own = PLACES.get(document.texts, [])
            right = [
                [own.index(i.uri) == j if i.uri in own else False for j in range(len(draw))] for i in document.images
            ]
            draw = np.where(right, 0.9, 0.0) + 0.1 * draw
        return coherence(draw, np.eye(len(draw)), ~np.eye(len(draw), dtype=bool), "known")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The demo's configuration with thresholds between right and wrong, and no model to load."""
    monkeypatch.setattr(clip, "Scorer", Scorer)
    for module in (stored, loaded):
        monkeypatch.setattr(module, "clip_version", lambda *_: "known@1")
    tree = demo_tree()
    tree["corpora"] = [{"format": "native", "path": CORPUS}]
    tree["coherence"] = dict(matched_at_least=-1, mean_at_least=0.5, margin_at_least=0.3, similarity_at_most=1)
    tree["llm"]["name"] = MODEL
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def run(config, work, *more) -> dict:
    assert main(["selftest", "--config", config, "--work", str(work), *more]) == 0
    return json.loads((pathlib.Path(work) / "selftest.json").read_text())


def test_a_scorer_that_knows_selects(config, tmp_path, capsys):
    found = run(config, tmp_path / "w")
    assert found["verdict"] == "selects" and found["kinds"]["true"]["kept"] > 30
    assert found["kinds"]["swapped"]["kept"] == found["kinds"]["other_texts"]["kept"] == 0
    said = capsys.readouterr().out
    assert "The filter selects" in said and "as they are" in said
    assert "<svg" in (tmp_path / "w/selftest.html").read_text()


def test_a_scorer_that_guesses_does_not_select(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Scorer, "knows", False)
    assert run(config, tmp_path / "w")["verdict"] == "does_not_select"
    assert "does not select" in capsys.readouterr().out


def test_the_same_documents_and_scores_give_the_same_bytes(config, tmp_path):
    run(config, tmp_path / "a")
    run(config, tmp_path / "b", "--json")
    for name in ("selftest.json", "selftest.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_fewer_documents_are_a_part_of_more(config, tmp_path):
    few, more = (run(config, tmp_path / n, "--documents", n)["documents"] for n in ("8", "12"))
    assert (few, more) == (8, 12)


def test_documents_that_are_kept_are_rated_where_a_server_is_there(config, tmp_path):
    path = pathlib.Path(config)
    tree = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(tree | {"ratings": dict(lowest_at_least=5, mean_at_least=0)}))

    def fours(body: dict) -> str:
        return json.dumps(dict.fromkeys(body["response_format"]["json_schema"]["schema"]["properties"], 4))

    with FakeOpenAI(MODEL, reply=fours) as llm:
        found = run(config, tmp_path / "w", "--documents", "30", "--llm-url", llm.url)
    true = found["kinds"]["true"]
    assert found["rated"] is True and true["kept"] == 0
    aspects = {"fluency", "text_coherence", "completeness", "usefulness"}
    assert aspects & set(true["rules"]) and not aspects & set(found["kinds"]["swapped"]["rules"])


@pytest.mark.parametrize("flags, words", [(["--documents", "1"], "--documents"), (["--limit", "1"], "--limit")])
def test_too_few_documents_are_refused(config, tmp_path, capsys, flags, words):
    assert main(["selftest", "--config", config, "--work", str(tmp_path / "w"), *flags]) == 2
    assert words in capsys.readouterr().err
