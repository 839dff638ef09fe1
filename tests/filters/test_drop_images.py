from __future__ import annotations

import dataclasses

from filters.drop_images import drop_images
from schemas.records import Coherence, Drop, ScoredDocument
from tests.filters.documents import document, stored

NO = Drop("rule", 0.0, 1.0)


def pictures(drops):
    return [(drop.index, drop.uri, drop.stage) for drop in drops]


def test_indices_stay_those_of_the_document_as_read():
    page = document("a", (1, 1), (2, 2), "b", (3, 3), (4, 4), (5, 5))
    once = drop_images(page, {1: NO, 3: NO}, "filter_headers")
    twice = drop_images(once, {0: NO, 2: dataclasses.replace(NO, rule="late")}, "filter_images")
    assert [i.width for i in once.images] == [1, 3, 5]
    assert [i.width for i in twice.images] == [3]
    assert pictures(twice.dropped_images) == [
        (0, "1.jpg", "filter_images"),
        (1, "2.jpg", "filter_headers"),
        (3, "5.jpg", "filter_headers"),
        (4, "6.jpg", "filter_images"),
    ]
    assert twice.dropped_images[3].drop.rule == "late"
    assert twice.texts == ("a", "b")


def test_some_drops_have_more_words():
    page = document("a", (1, 1), (2, 2), (3, 3))
    left = drop_images(page, {0: NO, 2: NO}, "compare_images", {2: "repeats b.jpg", 1: "of another"})
    assert [(drop.index, drop.detail) for drop in left.dropped_images] == [(0, ""), (2, "repeats b.jpg")]
    assert drop_images(page, {0: NO}, "compare_images").dropped_images[0].detail == ""


def test_nothing_to_drop_gives_the_same_document():
    page = document("a", (1, 1))
    assert drop_images(page, {}, "images") is page


def test_scores_stay_with_their_images():
    scores = Coherence(
        matched=(0.5, 0.2, 0.4),
        mismatched=(0.1, 0.3, 0.1),
        max_previous_similarity=(-1.0, 0.9, 0.3),
        margin=0.2,
        recall_at_1=0.6667,
        model="m",
    )
    page = ScoredDocument.of(stored("a", (1, 1), (2, 2), (3, 3)), coherence=scores)
    kept = drop_images(page, {1: NO}, "filter_images").coherence
    assert (kept.matched, kept.mismatched, kept.max_previous_similarity) == ((0.5, 0.4), (0.1, 0.1), (-1.0, 0.3))
    assert (kept.margin, kept.recall_at_1) == (0.35, 0.6667)
    last = drop_images(page, {0: NO, 1: NO}, "filter_images").coherence
    assert (last.matched, last.max_previous_similarity, last.margin, last.recall_at_1) == ((0.4,), (-1.0,), None, None)
    assert drop_images(page, {0: NO, 1: NO, 2: NO}, "filter_images").coherence.max_previous_similarity == ()
