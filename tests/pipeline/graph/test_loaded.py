from __future__ import annotations

import concurrent.futures
import os
import time

import pytest

from pipeline.graph import loaded, stages
from schemas.errors import UserError
from tests.pipeline.runs import a_run
from tests.tiny_clip import document


class Scorer:
    made = 0

    def __init__(self, *_, ocr):
        time.sleep(0.01)
        type(self).made += 1

    def score(self, documents, open_image):
        from schemas.records import Coherence

        return [Coherence((0.1,), (0.1,), (-1.0,), None, None, "m") for _ in documents]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.coherence.scorer.Scorer", Scorer)
    monkeypatch.setattr(loaded, "clip_version", lambda *_: "clip")
    return a_run(tmp_path)


def test_the_threads_of_a_worker_share_one_model(run):
    """On an engine each has stages of its own, and a GPU has no room for a dozen models."""
    steps = [stages.score_coherence(run) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda step: step([document("One.", 11)]), steps))
    assert Scorer.made == 1


def test_a_forked_process_has_a_model_of_its_own(run, monkeypatch):
    """That of its parent waits for threads that are not there."""
    mine = loaded.scorer_of(run)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert loaded.scorer_of(run) is not mine


def test_scores_of_another_model_than_the_launchers_are_not_kept_as_its_own(run, monkeypatch):
    """The workers' image has older weights of the same name."""
    monkeypatch.setattr(loaded, "clip_version", lambda *_: "clip@older")
    with pytest.raises(UserError, match="of this worker is clip@older, and that of the launcher clip:"):
        stages.score_coherence(run)([document("One.", 11)])
