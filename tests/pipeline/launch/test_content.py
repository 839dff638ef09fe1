"""A build whose preset excludes images by what they show; the coherence model is a stand-in."""

import json

import numpy as np
import pytest

from pipeline.coherence import scorer as clip
from pipeline.coherence.scorer import coherence
from pipeline.content import clip as detector
from pipeline.dataset import ledger
from pipeline.graph import loaded
from pipeline.launch import build as launch
from schemas.validate import validate
from tests.answers import server
from tests.pipeline.runs import demo_config


class Scorer:
    """Every third image looks like one with a watermark; each image matches its own text best."""

    def __init__(self, *_, ocr=None):
        pass

    def score(self, documents, open_image):
        sizes = [len(document.images) for document in documents]
        return [coherence(np.eye(n) / 2, np.eye(n), ~np.eye(n, dtype=bool), "known@1") for n in sizes]

    def image_vectors(self, hashes, open_image):
        return {sha256: np.eye(2)[int(_harmless(sha256))] for sha256 in hashes}

    def text_vectors(self, texts):
        shows = detector.prompts().watermark.shows
        return {text: np.eye(2)[int(text not in shows)] for text in texts}


def _harmless(sha256: str) -> bool:
    return int(sha256[:8], 16) % 3 > 0


@pytest.fixture
def built(tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "Scorer", Scorer)
    for module in (launch, loaded):
        monkeypatch.setattr(module, "clip_version", lambda *_: "known@1")
    preset = tmp_path / "own.yaml"
    preset.write_text("extends: leafinstruct\ncontent:\n  - {rule: content.watermark, at_most: 0.25}\n")
    limits = dict(matched_at_least=-1.0, mean_at_least=-1.0, margin_at_least=-2.0, similarity_at_most=1.0)
    config = demo_config(tmp_path, preset=str(preset), coherence=limits)
    with server() as llm:
        launch.build(config, str(tmp_path / "out"), llm_url=llm.url, limit=12)
    return tmp_path / "out"


def test_images_that_the_preset_excludes_are_in_the_ledger_and_not_in_the_dataset(built):
    assert validate(built, deep=True) == []
    lost = [drop for outcome in ledger.read_outcomes(str(built)) for drop in outcome.dropped_images]
    drops = [one.drop for one in lost if one.stage == "score_coherence"]
    assert drops and {(drop.rule, drop.value, drop.threshold) for drop in drops} == {("watermark", 1.0, 0.25)}
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["config"]["rules"]["content"] == [{"rule": "content.watermark", "at_most": 0.25}]
    text = (built / "report.html").read_text()
    assert "watermark at most 0.25; not looked for: unsafe_image, faces, nudity" in text
