import dataclasses
import sys

import pytest

from filters import presets
from pipeline.content import Detector
from pipeline.graph import content
from pipeline.graph.content import check_images
from schemas.checks import rules
from schemas.errors import UserError
from schemas.records import Coherence, Drop, ScoredDocument, StoredImage
from tests.pipeline.runs import a_run


def run_with(tmp_path, *lines: str):
    path = tmp_path / "own.yaml"
    path.write_text("extends: leafinstruct\ncontent:\n" + "".join(f"  - {line}\n" for line in lines))
    return dataclasses.replace(a_run(tmp_path), preset=presets.load(str(path)))


def scored(*images: int) -> ScoredDocument:
    scores = tuple(image / 10 for image in images)
    segments = tuple(StoredImage("x.png", width=9, height=9, sha256=str(n), extension="png") for n in images)
    coherence = Coherence(scores, scores, (-1.0,) * len(images), None, None, "m")
    return ScoredDocument("d", "test", segments, coherence=coherence)


class Asked:
    """A detector whose value is a tenth of the image's number; it remembers what it was asked."""

    def __init__(self, monkeypatch, version: str = "1"):
        self.hashes: list[str] = []
        monkeypatch.setattr(content, "_detector", lambda *_: Detector(version, self.measure))

    def measure(self, hashes, open_image):
        self.hashes += hashes
        return [int(sha256) / 10 for sha256 in hashes]


WATERMARK = "{rule: content.watermark, at_most: 0.4}"


def test_an_image_above_the_limit_is_removed_with_its_scores_and_recorded(tmp_path, monkeypatch):
    Asked(monkeypatch)
    (found,) = check_images(run_with(tmp_path, WATERMARK), None)([scored(3, 5, 4)])
    assert [image.sha256 for image in found.images] == ["3", "4"] and found.coherence.matched == (0.3, 0.4)
    (lost,) = found.dropped_images
    assert (lost.index, lost.stage, lost.drop) == (1, "score_coherence", Drop("watermark", 0.5, 0.4))


def test_an_image_is_measured_once_and_again_only_by_another_detector(tmp_path, monkeypatch):
    run = run_with(tmp_path, WATERMARK)
    first = Asked(monkeypatch)
    check_images(run, None)([scored(3, 5), scored(5, 6)])
    assert first.hashes == ["3", "5", "6"]
    same = Asked(monkeypatch)
    (found,) = check_images(run, None)([scored(3, 5)])
    assert same.hashes == [] and len(found.images) == 1
    other = Asked(monkeypatch, "2")
    check_images(run, None)([scored(3, 5)])
    assert other.hashes == ["3", "5"]


def test_the_first_rule_that_an_image_breaks_is_recorded(tmp_path, monkeypatch):
    Asked(monkeypatch)
    run = run_with(tmp_path, "{rule: content.faces, at_most: 0}", WATERMARK)
    (found,) = check_images(run, None)([scored(5)])
    assert [lost.drop.rule for lost in found.dropped_images] == ["faces"] and found.images == ()


def test_a_document_without_images_is_left_alone(tmp_path, monkeypatch):
    Asked(monkeypatch)
    assert check_images(run_with(tmp_path, WATERMARK), None)([scored()]) == [scored()]


def test_a_rule_whose_package_is_missing_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "pipeline.content.nudity", raising=False)
    monkeypatch.setitem(sys.modules, "nudenet", None)
    with pytest.raises(UserError, match=r"content.nudity of the preset needs nudenet: pip install nudenet"):
        check_images(run_with(tmp_path, "{rule: content.nudity, at_most: 0.5}"), None)


def test_the_validator_knows_which_of_these_rules_were_on(tmp_path):
    config = {"rules": presets.as_dict(run_with(tmp_path, WATERMARK).preset)}
    allowed = rules.of({"config": config, "rating_aspects": {}}).images["score_coherence"]
    assert allowed.fault("watermark", 0.5, 0.4) == ""
    assert "another threshold" in allowed.fault("watermark", 0.5, 0.3)
    assert "no rule" in allowed.fault("faces", 1.0, 0.0)
    off = rules.of({"config": {"rules": presets.as_dict(presets.load("leafinstruct"))}, "rating_aspects": {}})
    assert "score_coherence" not in off.images
