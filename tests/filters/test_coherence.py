from __future__ import annotations

import dataclasses

import pytest

from filters.coherence import judge_coherence, margin, mean_score
from schemas.records import Coherence, Drop
from tests.filters.documents import document

SCORES = Coherence(own=(0.3, 0.1, 0.25, 0.2), other=(0.1, 0.1, 0.1, 0.1), similar=(-1.0, 0.5, 0.97, 0.9),
                   margin=0.1125, recall_at_1=0.75, model="m")
PAGE = dataclasses.replace(document("a", (1, 1), (2, 2), "b", (3, 3), (4, 4)), coherence=SCORES)


def test_pictures_that_fit_no_text_or_come_twice_go():
    judged = judge_coherence(PAGE, own_at_least=0.2, similar_at_most=0.95)
    assert [(d.index, d.uri, d.stage, d.drop) for d in judged.dropped_images] == [
        (1, "2.jpg", "picture_fit", Drop("own_score", 0.1, 0.2)),
        (2, "4.jpg", "picture_fit", Drop("near_duplicate", 0.97, 0.95))]
    assert [image.width for image in judged.images] == [1, 4]
    assert (judged.coherence.own, judged.coherence.similar) == ((0.3, 0.2), (-1.0, 0.9))
    assert judged.coherence.margin == 0.15


def test_the_thresholds_themselves_pass():
    assert judge_coherence(PAGE, own_at_least=0.1, similar_at_most=0.97) is PAGE


def test_a_picture_that_breaks_both_rules_is_taken_for_its_text():
    judged = judge_coherence(PAGE, own_at_least=0.26, similar_at_most=0.95)
    assert [d.drop.rule for d in judged.dropped_images] == ["own_score"] * 3


def test_mean_score():
    assert mean_score(PAGE, at_least=0.2125) is None
    assert mean_score(PAGE, at_least=0.22) == Drop("mean_score", 0.2125, 0.22)


@pytest.mark.parametrize("value, at_least, drop", [
    (0.02, 0.02, None), (0.01, 0.02, Drop("margin", 0.01, 0.02)), (-0.05, 0.0, Drop("margin", -0.05, 0.0)),
    (None, 0.02, None),             # one picture: no other text to compare with
])
def test_margin(value, at_least, drop):
    page = dataclasses.replace(PAGE, coherence=dataclasses.replace(SCORES, margin=value))
    assert margin(page, at_least=at_least) == drop
