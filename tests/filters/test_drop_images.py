from __future__ import annotations

import dataclasses

from filters.drop_images import drop_images
from schemas.records import Coherence, Drop
from tests.filters.documents import document

NO = Drop("rule", 0.0, 1.0)


def pictures(drops):
    return [(drop.index, drop.uri, drop.stage) for drop in drops]


def test_indices_stay_those_of_the_document_as_read():
    page = document("a", (1, 1), (2, 2), "b", (3, 3), (4, 4), (5, 5))
    once = drop_images(page, {1: NO, 3: NO}, "image_rules")
    twice = drop_images(once, {0: NO, 2: dataclasses.replace(NO, rule="late")}, "coherence")
    assert [i.width for i in once.images] == [1, 3, 5]
    assert [i.width for i in twice.images] == [3]
    assert pictures(twice.dropped_images) == [(0, "1.jpg", "coherence"), (1, "2.jpg", "image_rules"),
                                              (3, "5.jpg", "image_rules"), (4, "6.jpg", "coherence")]
    assert twice.dropped_images[3].drop.rule == "late"
    assert twice.texts == ("a", "b")


def test_nothing_to_drop_gives_the_same_document():
    page = document("a", (1, 1))
    assert drop_images(page, {}, "images") is page


def test_scores_stay_with_their_images():
    scores = Coherence(own=(0.5, 0.2, 0.4), other=(0.1, 0.3, 0.1), similar=(-1.0, 0.9, 0.3), margin=0.2,
                       recall_at_1=0.6667, model="m")
    page = dataclasses.replace(document("a", (1, 1), (2, 2), (3, 3)), coherence=scores)
    kept = drop_images(page, {1: NO}, "coherence").coherence
    assert (kept.own, kept.other, kept.similar) == ((0.5, 0.4), (0.1, 0.1), (-1.0, 0.3))
    assert (kept.margin, kept.recall_at_1) == (0.35, 0.6667)
    last = drop_images(page, {0: NO, 1: NO}, "coherence").coherence
    assert (last.own, last.similar, last.margin, last.recall_at_1) == ((0.4,), (-1.0,), None, None)
    assert drop_images(page, {0: NO, 1: NO, 2: NO}, "coherence").coherence.similar == ()
