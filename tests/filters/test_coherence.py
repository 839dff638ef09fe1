from __future__ import annotations

import dataclasses

import pytest

from filters.coherence import filter_images, margin, mean_score
from schemas.records import Coherence, Drop, ScoredDocument
from tests.filters.documents import stored

SCORES = Coherence(
    matched=(0.3, 0.1, 0.25, 0.2),
    mismatched=(0.1, 0.1, 0.1, 0.1),
    max_previous_similarity=(-1.0, 0.5, 0.97, 0.9),
    margin=0.1125,
    recall_at_1=0.75,
    model="m",
)
PAGE = ScoredDocument.of(stored("a", (1, 1), (2, 2), "b", (3, 3), (4, 4)), coherence=SCORES)


def test_pictures_that_fit_no_text_or_come_twice_go():
    judged = filter_images(PAGE, matched_at_least=0.2, similarity_at_most=0.95)
    assert [(d.index, d.uri, d.stage, d.drop) for d in judged.dropped_images] == [
        (1, "2.jpg", "filter_images", Drop("matched_score", 0.1, 0.2)),
        (2, "4.jpg", "filter_images", Drop("near_duplicate", 0.97, 0.95)),
    ]
    assert [image.width for image in judged.images] == [1, 4]
    assert (judged.coherence.matched, judged.coherence.max_previous_similarity) == ((0.3, 0.2), (-1.0, 0.9))
    assert judged.coherence.margin == 0.15


def test_the_thresholds_themselves_pass():
    assert filter_images(PAGE, matched_at_least=0.1, similarity_at_most=0.97) is PAGE


def test_a_picture_that_breaks_both_rules_is_taken_for_its_text():
    judged = filter_images(PAGE, matched_at_least=0.26, similarity_at_most=0.95)
    assert [d.drop.rule for d in judged.dropped_images] == ["matched_score"] * 3


def test_mean_score():
    assert mean_score(PAGE, at_least=0.2125) is None
    assert mean_score(PAGE, at_least=0.22) == Drop("mean_score", 0.2125, 0.22)


@pytest.mark.parametrize(
    "value, at_least, drop",
    [
        (0.02, 0.02, None),
        (0.01, 0.02, Drop("margin", 0.01, 0.02)),
        (-0.05, 0.0, Drop("margin", -0.05, 0.0)),
        (None, 0.02, None),  # one picture: no other text to compare with
    ],
)
def test_margin(value, at_least, drop):
    page = dataclasses.replace(PAGE, coherence=dataclasses.replace(SCORES, margin=value))
    assert margin(page, at_least=at_least) == drop


def test_scores_of_unequal_number_are_a_bug_and_not_a_drop():
    page = dataclasses.replace(PAGE, coherence=dataclasses.replace(SCORES, max_previous_similarity=(-1.0, 0.5)))
    with pytest.raises(ValueError, match="zip"):
        filter_images(page, matched_at_least=0.2, similarity_at_most=0.95)
