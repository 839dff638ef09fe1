"""A build and a calibration of pictures that are read; the coherence model is a stand-in."""

import json
import pathlib
import shutil
import tarfile

import numpy as np
import pytest
import yaml

from pipeline.coherence import scorer as clip
from pipeline.coherence.scorer import coherence
from pipeline.coherence.witness import Measures, joined
from pipeline.config import load
from pipeline.dataset.reader import index_rows
from pipeline.graph import loaded
from pipeline.launch import build as launch
from pipeline.launch import calibrate, stored
from pipeline.launch.plan import plan
from pipeline.storage import packs
from pipeline.storage.store import Store
from schemas.validate import validate
from tests.answers import MODEL, server
from tests.pipeline.kept import values
from tests.pipeline.runs import ROOT, demo_tree

pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")


class Scorer:
    """Measures that hashes decide; right places are better."""

    def __init__(self, *_, ocr=None):
        self.ocr = ocr

    def measure(self, documents, open_image):
        return [self._measures(document) for document in documents]

    def _measures(self, document):
        n, has = len(document.images), np.array([bool(image.ocr) for image in document.images])
        seeds = [int(image.sha256[:8], 16) for image in document.images]
        draw = np.array([[(seed * (j + 3)) % 1000 / 1000 for j in range(n)] for seed in seeds]) + np.eye(n)
        return Measures(draw / 4, draw / 3 * has[:, None], draw * has[:, None], np.eye(n), has, ~np.eye(n, dtype=bool))

    def score(self, documents, open_image):
        found = self.measure(documents, open_image)
        return [coherence(joined(one, self.ocr), one.alike, one.apart, "known@1") for one in found]

    def image_vectors(self, hashes, open_image):
        return {name: np.array([0.6, 0.8], np.float32) for name in hashes}


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "Scorer", Scorer)
    monkeypatch.setattr(calibrate, "Scorer", Scorer)
    for module in (launch, stored, loaded):
        monkeypatch.setattr(module, "clip_version", lambda *_: "known@1")
    tree = demo_tree()
    tree["corpora"] = [{"format": "native", "path": str(ROOT / "examples/corpus")}]
    tree["coherence"] = dict(matched_at_least=-1.0, mean_at_least=-1.0, margin_at_least=-2.0, similarity_at_most=1.0)
    tree["ocr"] = dict(similarity=0.0, words=0.0, neutral=0.0, boxes=3)
    tree["llm"]["name"] = MODEL
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree, default_flow_style=False))
    return str(path)


def test_what_was_read_is_in_the_dataset(config, tmp_path):
    with server() as llm:
        launch.build(config, str(tmp_path / "out"), llm_url=llm.url, limit=14)
    assert validate(tmp_path / "out", deep=True) == []
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert {"rapidocr", "onnxruntime"} <= set(manifest["libraries"])
    images = []
    for shard in (tmp_path / "out/shards").iterdir():
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    value = json.load(tar.extractfile(member))
                    images += [s for s in value["context"] + value["output"] if s["type"] == "image"]
    assert images and all("ocr" in image for image in images)
    assert any(image["ocr"] for image in images) and any(not image["ocr"] for image in images)
    assert all(len(image["ocr"].splitlines()) <= 3 for image in images)
    rows = list(index_rows(str(tmp_path / "out")))
    assert {line for row in rows for line in row["ocr"].splitlines()} == {
        line for image in images for line in image["ocr"].splitlines()
    }


def test_what_was_read_and_scored_is_there_in_a_plan_and_what_lacks_a_text_is_to_score(config, tmp_path):
    work = tmp_path / "work"
    with server() as llm:
        launch.build(config, str(tmp_path / "out"), llm_url=llm.url, limit=14, work=str(work))
        after = plan(config, None, str(work), limit=14, llm_url=llm.url)
        texts = values(work / "ocr")
        shutil.rmtree(work / "ocr")
        for key in sorted(texts)[1:]:
            Store(f"{work}/ocr").write(key, texts[key])
        packs.flush()
        lost = plan(config, None, str(work), limit=14, llm_url=llm.url)
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert after["scores there"] == metrics["score_coherence"]["scored"] > 0 == after["scores to_compute"]
    assert (
        after["documents done"] == json.loads((tmp_path / "out/manifest.json").read_text())["counts"]["instances"] > 0
    )
    assert after["questions there"] > 0 == after["questions to_ask"]
    assert 0 < lost["scores to_compute"] == after["scores there"] - lost["scores there"]


class Reader:
    """Reads a word in two of three images."""

    def __init__(self, side, boxes):
        pass

    def read_all(self, hashes, open_image):
        return {sha256: "word" if int(sha256[:8], 16) % 3 else "" for sha256 in hashes}

    def close(self):
        pass


def test_calibrate_writes_weights_and_ends_with_a_verdict(config, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.ocr.reader.Reader", Reader)
    said = calibrate.calibrate_config(config, None, None, str(tmp_path / "work"))
    ocr = load(config).ocr
    assert ocr.similarity > 0 < ocr.words and ocr.boxes == 3
    assert f"ocr.similarity: {ocr.similarity:.4f}" in said
    assert "swapped images" in said.splitlines()[-2]
    assert json.loads(pathlib.Path(tmp_path / "work/selftest.json").read_text())["documents"] > 40
