"""The part of a document that becomes the instance."""

import pytest

from filters.headings import heading_key
from pipeline.instances.excerpt import best_excerpt, excerpts, why_none
from schemas.records import Coherence, Document, ScoredDocument, StoredDocument, StoredImage, Text


def text(words: int) -> Text:
    return Text(" ".join(["Word"] + ["word"] * (words - 1)) + ".")


H1, H2 = Text("# One"), Text("# Two")
A, B, C = (StoredImage(f"{name}.jpg", width=9, height=9, sha256=name, extension="jpg") for name in "abc")
LIMITS = {"max_words": 100, "max_images": 2, "min_words": 20}


def document(*segments, coherence=None) -> Document:
    found = StoredDocument("d", "s", segments, title="The whole")
    return ScoredDocument.of(found, coherence=coherence) if coherence else found


def test_a_short_document_is_its_own_excerpt():
    short = document(H1, text(30), A)
    assert best_excerpt(short, **LIMITS) == short


def test_it_fills_up_to_words_and_images_and_never_ends_with_a_heading():
    found = best_excerpt(document(H1, text(60), A, H2, text(60), B), **LIMITS)
    assert found.segments == (H1, text(60), A)
    found = best_excerpt(document(text(30), A, B, C), **LIMITS)
    assert found.segments == (text(30), A, B)


def test_one_starts_at_each_heading_and_is_named_after_it():
    found = list(excerpts(document(H1, text(60), A, H2, text(60), B), **LIMITS))
    assert [(e.title, e.part_of, e.images) for e in found] == [("The whole", "", (A,)), ("Two", "The whole", (B,))]


def test_more_pictures_win_then_coherence_then_the_first():
    segments = (H1, text(60), A, H2, text(60), B)

    def scored(*own):
        return Coherence(own, (0.1, 0.1), (-1.0, 0.2), 0.1, 1.0, "m")

    assert best_excerpt(document(*segments, coherence=scored(0.2, 0.4)), **LIMITS).title == "Two"
    assert best_excerpt(document(*segments, coherence=scored(0.4, 0.4)), **LIMITS).title == "The whole"
    assert best_excerpt(document(*segments, C, coherence=scored(0.9, 0.1, 0.1)), **LIMITS).images == (B, C)


def test_scores_follow_their_pictures():
    whole = document(
        H1, text(60), A, H2, text(60), B, coherence=Coherence((0.2, 0.4), (0.1, 0.15), (-1.0, 0.3), 0.175, 1.0, "m")
    )
    part = best_excerpt(whole, **LIMITS).coherence
    assert (part.matched, part.mismatched, part.max_previous_similarity, part.margin) == (
        (0.4,),
        (0.15,),
        (-1.0,),
        0.25,
    )


def test_where_no_heading_is_near_a_picture_a_paragraph_may_be_the_start():
    far = document(H1, text(90), text(60), A, text(20), H2, text(200), text(30), B)
    assert list(excerpts(far, **LIMITS)) == []
    found = best_excerpt(far, **LIMITS)
    assert (found.segments, found.title) == ((text(60), A, text(20)), "One")
    later = document(H1, text(90), text(60), text(200), H2, text(90), text(15), text(30), B, C)
    found = best_excerpt(later, **LIMITS)
    assert (found.segments, found.title) == ((text(15), text(30), B, C), "Two")


@pytest.mark.parametrize("middle", ["- and sand it, ", "* ", "3. ", "12) ", "which ", "This is ", "Step 2. "])
def test_an_excerpt_never_starts_inside_a_list_or_a_sentence(middle):
    inside = Text(middle + "word " * 60)
    far = document(H1, text(90), inside, A, B, text(200), text(60), C)
    assert best_excerpt(far, **LIMITS).segments[0] == text(60)
    assert best_excerpt(document(H1, text(90), inside, A), **LIMITS) is None


def test_where_nothing_ends_like_a_sentence_small_letters_and_endings_say_nothing():
    steps = [Text(" ".join([word] * 60)) for word in ("cut", "sand", "oil")]
    spoken = document(H1, steps[0], A, steps[1], B, steps[2], C)
    assert best_excerpt(spoken, **LIMITS).segments == (H1, steps[0], A)
    far = document(H1, Text("cut " * 90), steps[1], A, steps[2])
    assert best_excerpt(far, **LIMITS).segments == (steps[1], A)


def test_a_heading_is_preferred_even_with_fewer_pictures():
    found = best_excerpt(document(H1, text(60), A, text(60), B, C), **LIMITS)
    assert found.segments == (H1, text(60), A)


def test_an_excerpt_from_a_paragraph_has_its_own_pictures_scores_and_never_starts_with_a_picture():
    whole = document(
        text(90), text(20), A, text(50), B, coherence=Coherence((0.2, 0.4), (0.1, 0.15), (-1.0, 0.3), 0.175, 1.0, "m")
    )
    found = best_excerpt(whole, max_words=60, max_images=1, min_words=20)
    assert (found.segments, found.title) == ((text(50), B), "The whole")
    assert (found.coherence.matched, found.coherence.margin) == ((0.4,), 0.25)


def test_none_where_nothing_fits():
    assert best_excerpt(document(text(30)), **LIMITS) is None
    assert best_excerpt(document(text(5), A), **LIMITS) is None
    assert best_excerpt(document(text(500), A), **LIMITS) is None
    assert best_excerpt(document(H1, text(500), A, text(19)), **LIMITS) is None


SUMMARY = Text("## Summary")
RECURRING = {"recurring": {heading_key("s", SUMMARY.text)}}


def test_a_heading_that_recurs_is_no_start_and_no_title():
    page = document(H1, text(90), SUMMARY, text(60), A, B, H2, text(60), C)
    assert best_excerpt(page, **LIMITS).title == "Summary"
    found = best_excerpt(page, **LIMITS, **RECURRING)
    assert (found.title, found.segments) == ("Two", (H2, text(60), C))


def test_below_a_heading_that_recurs_a_paragraph_is_the_start_and_the_title_is_from_above():
    page = document(H1, text(90), SUMMARY, text(60), A)
    found = best_excerpt(page, **LIMITS, **RECURRING)
    assert (found.segments, found.title) == ((text(60), A), "One")


@pytest.mark.parametrize(
    "heading, title",
    [
        ("## Arrays in C#", "Arrays in C#"),
        ("## FastCGI &lt;fastCgi&gt; ##", "FastCGI <fastCgi>"),
        ("## Using `a_b` and &amp;&#13;**mod\\_rewrite**", "Using a_b and & mod_rewrite"),
    ],
)
def test_a_title_is_the_heading_as_it_is_shown(heading, title):
    found = best_excerpt(document(H1, text(101), Text(heading), text(60), A), **LIMITS)
    assert found.title == title


def test_exercises_are_a_lesson_unless_they_recur_across_the_source():
    page = document(H1, text(101), Text("## Exercises"), text(60), A)
    assert best_excerpt(page, **LIMITS).title == "Exercises"
    assert best_excerpt(page, **LIMITS, recurring={heading_key("s", "Exercises")}) is None


def test_a_heading_recurs_in_its_own_source_alone():
    page = document(H1, text(90), SUMMARY, text(60), A)
    assert best_excerpt(page, **LIMITS, recurring={heading_key("t", SUMMARY.text)}).title == "Summary"


def test_the_beginning_of_a_document_is_a_start_whatever_stands_there():
    page = document(SUMMARY, text(60), A)
    assert best_excerpt(page, **LIMITS, **RECURRING) == page


def test_limits_are_the_longest_that_is_taken_and_forty_words_are_needed():
    assert best_excerpt(document(text(100), A), **LIMITS) is not None
    assert best_excerpt(document(text(101), A), **LIMITS) is None
    for make in (best_excerpt, lambda *a, **k: next(excerpts(*a, **k), None)):
        assert make(document(text(40), A), max_words=100, max_images=2).segments == (text(40), A)
        assert make(document(text(39), A), max_words=100, max_images=2) is None


def test_an_excerpt_from_a_heading_needs_no_more_words_than_one_from_a_paragraph():
    both = document(H1, text(30), A, text(80), text(30), B, C)
    assert best_excerpt(both, **LIMITS).segments == (H1, text(30), A)


def test_nothing_is_taken_where_the_first_segment_is_too_long():
    assert list(excerpts(document(text(500), A, H2), **LIMITS)) == []


def test_a_heading_below_the_start_is_no_title():
    below = Text("## Below")
    found = best_excerpt(document(H1, text(90), text(30), below, A), **LIMITS)
    assert (found.segments, found.title) == ((text(30), below, A), "One")
    assert best_excerpt(document(H1, text(90), text(30), H2, A), **LIMITS) is None


def test_a_difference_in_the_fifth_decimal_does_not_decide():
    segments = (H1, text(60), A, H2, text(60), B)
    scores = Coherence((0.2, 0.20004), (0.1, 0.1), (-1.0, 0.2), 0.1, 1.0, "m")
    assert best_excerpt(document(*segments, coherence=scores), **LIMITS).title == "The whole"


def test_the_scores_of_images_after_the_excerpt_stay_behind():
    scores = Coherence((0.9, 0.5, 0.1), (0.1, 0.2, 0.3), (-1.0, 0.4, 0.6), 0.3, 1.0, "m")
    found = best_excerpt(document(H1, text(60), A, B, H2, text(60), C, coherence=scores), **LIMITS)
    assert found.segments == (H1, text(60), A, B)
    assert found.coherence == Coherence((0.9, 0.5), (0.1, 0.2), (-1.0, 0.4), 0.55, 1.0, "m")
    found = best_excerpt(document(H1, text(60), C, H2, text(60), A, B, coherence=scores), **LIMITS)
    assert found.coherence == Coherence((0.5, 0.1), (0.2, 0.3), (-1.0, 0.6), 0.05, 1.0, "m")


def test_without_a_margin_there_is_none_for_the_excerpt():
    scores = Coherence((0.9,), (0.1,), (-1.0,), None, None, "m")
    assert best_excerpt(document(text(60), A, coherence=scores), **LIMITS).coherence == scores


@pytest.mark.parametrize(
    "segments, why",
    [
        ((H1, text(60)), "it has no image"),
        ((H1, text(5), A, text(6)), "no part with an image has 20 words, which excerpt.min_words asks for"),
        ((H1, text(412), A), "the shortest part with an image has 412 words, and excerpt.max_words is 100"),
        ((H1, text(300), A, H2, text(110), B), "the shortest part with an image has 110 words"),
        ((Text("Third, " + "boards " * 80 + "dry."), A), "is finished, and has all that it speaks of"),
        ((A, text(412)), "the shortest part with an image has 412 words"),
        ((H1, text(60), A, Text("These " + "boards " * 80 + "dry.")), "is finished, and has all that it speaks of"),
    ],
)
def test_why_there_is_no_excerpt(segments, why):
    page = document(*segments)
    assert best_excerpt(page, **LIMITS) is None and why in why_none(page, **LIMITS)


def test_an_excerpt_that_does_not_fit_is_not_coherent_enough():
    page = document(H1, text(60), A)
    assert best_excerpt(page, **LIMITS, fits=lambda _: False) is None and best_excerpt(page, **LIMITS)
    assert why_none(page, **LIMITS) == "no part is as coherent as documents must be"
