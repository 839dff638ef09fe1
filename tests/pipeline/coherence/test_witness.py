import dataclasses
import math

import numpy as np
import pytest

from pipeline.coherence.places import Place
from pipeline.coherence.witness import FEWEST, Measures, joined, weights
from pipeline.coherence.words import SHORT, at_place, in_image, rarity, shared, stems
from pipeline.config import Ocr
from schemas.errors import UserError

OCR = Ocr(similarity=0.5, words=0.1, neutral=0.3)


def found(has_text=(True, False), seed=0, scale=1.0) -> Measures:
    """Two images; right places are better by 0.2 (similarity) and 1 (words) for images with text."""
    rng, n = np.random.default_rng(seed), len(has_text)
    has = np.array(has_text)
    eye = np.eye(n)
    return Measures(
        rng.normal(0.2, 0.1, (n, n)) * scale,
        (rng.normal(0.3, 0.1, (n, n)) + 0.2 * eye) * has[:, None],
        (rng.normal(2, 0.5, (n, n)) + eye) * has[:, None],
        eye,
        has,
        eye == 0,
    )


def test_without_weights_only_clip_counts():
    one = found()
    assert (joined(one, None) == one.clip).all()


def test_an_image_without_text_keeps_its_cosines():
    one = found()
    scores = joined(one, OCR)
    assert (scores[1] == one.clip[1]).all() and (scores[0] != one.clip[0]).all()


def test_text_that_fits_raises_a_score_and_text_that_does_not_lowers_it():
    clip = np.full((1, 2), 0.2)
    one = Measures(clip, np.array([[0.6, 0.2]]), np.array([[2.0, 0.0]]), np.eye(1), np.array([True]), np.eye(1) == 0)
    assert joined(one, OCR) == pytest.approx(np.array([[0.4, 0.0]]))


def test_scores_stay_between_minus_one_and_one():
    one = Measures(
        np.full((1, 1), 0.9), np.full((1, 1), 1.0), np.full((1, 1), 9.0), np.eye(1), np.array([True]), np.eye(1) == 0
    )
    assert joined(one, OCR) == 1 and joined(one, Ocr(0.0, 0.0, 5.0)) == -1


def test_each_witness_counts_by_its_spread_and_nothing_halfway_between_right_and_wrong():
    made = weights([found((True, True), seed) for seed in range(2000)], OCR)
    # The two of text are independent here, so their sum spreads as the root of two; together they count as CLIP does.
    root = math.sqrt(2)
    assert made.similarity == pytest.approx(0.1 / 0.1 / root, rel=0.1)
    assert made.words == pytest.approx(0.1 / 0.5 / root, rel=0.1)
    assert made.neutral == pytest.approx(made.similarity * 0.4 + made.words * 2.5, rel=0.02)
    assert (made.side, made.boxes) == (OCR.side, OCR.boxes)


def test_a_model_of_half_the_cosines_has_half_the_weights():
    one = weights([found((True, True), seed) for seed in range(60)], OCR)
    half = weights([found((True, True), seed, scale=0.5) for seed in range(60)], OCR)
    for name in ("similarity", "words", "neutral"):
        assert getattr(half, name) == pytest.approx(getattr(one, name) / 2, abs=2e-4)


def test_too_few_images_with_text_give_no_weights():
    with pytest.raises(UserError, match=f"at least {FEWEST} images with text.* 49"):
        weights([found((True, False), seed) for seed in range(49)], OCR)


def test_weights_may_be_written_back():
    assert dataclasses.replace(OCR, words=0.2).words == 0.2


@pytest.mark.parametrize(
    "read, sentences, words",
    [
        ("Waypoint altitude", ["Set the altitude."], ["altitu"]),
        ("WAYPOINTS", ["A waypoint is a place."], ["waypoi"]),
        ("Waypointaltitude", ["The altitude of a waypoint."], ["altitu", "waypoi"]),  # the space was lost
        ("Waypoint", ["Nothing of it."], []),
        ("antenna", ["An ant."], []),  # too short to be looked for inside a word
        ("", ["Nothing."], []),
    ],
)
def test_shared_words(read, sentences, words):
    place = sum(rarity(stem) for stem in stems("\n".join(sentences)))
    assert beside(read, sentences) == pytest.approx(sum(map(rarity, words)) / math.sqrt(place + SHORT))


def beside(read, before, after=()):
    return shared(in_image(read), at_place(Place.of(before, after)))


def test_the_same_word_counts_more_in_a_shorter_place():
    assert beside("Waypoint", ["Set a waypoint."]) > beside("Waypoint", ["Set a waypoint.", "Then start the engine."])


def test_a_word_counts_by_the_nearest_sentence_that_has_it():
    near, far = ["Set a waypoint.", "Start it."], ["Start it.", "Set a waypoint."]
    assert beside("Waypoint", near) > beside("Waypoint", far)
    assert at_place(Place.of(far, near)) == at_place(Place.of(near, far))
    assert at_place(Place.of(far, near))["waypoi"] == rarity("waypoi")


def test_common_words_count_less_than_rare_ones():
    assert 0 <= rarity("the") < 0.2 < rarity("water") < rarity("waypoi") == rarity("zzzzzz") < 4.7


def test_the_order_of_sides_changes_nothing():
    sentences = [f"Word{k} and other{k}." for k in range(50)]
    read = " ".join(sentences[::3])
    assert beside(read, sentences, sentences[::-1]) == beside(read, sentences[::-1], sentences)


def test_images_at_one_place_say_nothing_about_the_spread():
    """Two images at one place have the same measures there; no other text, no mismatched pair."""
    same = dataclasses.replace(found((True, True)), apart=np.zeros((2, 2), dtype=bool))
    usual = [found((True, True), seed) for seed in range(60)]
    assert weights([*usual, same], OCR) == weights(usual, OCR)


def test_of_three_images_the_two_at_one_place_are_no_mismatched_pair():
    beside = np.zeros((3, 3), dtype=bool)
    beside[0, 1] = beside[1, 0] = True
    apart = ~beside & (np.eye(3) == 0)
    usual = [dataclasses.replace(found((True,) * 3, seed), apart=apart) for seed in range(60)]
    odd = [
        dataclasses.replace(
            one, **{name: getattr(one, name) + 9.0 * beside for name in ("clip", "similarity", "words")}
        )
        for one in usual
    ]
    assert weights(odd, OCR) == weights(usual, OCR)
