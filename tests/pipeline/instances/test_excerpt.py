"""The part of a document that becomes the instance."""

import time

import pytest

from filters.headings import heading_key
from pipeline.instances.excerpt import _Page, best_excerpt, excerpts, why_none
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
    found = best_excerpt(document(text(90), H2, text(30), A, B, C), **LIMITS)
    assert found.segments == (H2, text(30), A, B)


def test_one_starts_at_each_heading_and_is_named_after_it():
    found = list(excerpts(document(H1, text(60), A, H2, text(60), B), **LIMITS))
    assert [(e.title, e.part_of, e.images) for e in found] == [("One", "The whole", (A,)), ("Two", "The whole", (B,))]


def test_more_pictures_win_then_coherence_then_the_first():
    segments = (H1, text(60), A, H2, text(60), B)

    def scored(*own):
        return Coherence(own, (0.1, 0.1), (-1.0, 0.2), 0.1, 1.0, "m")

    assert best_excerpt(document(*segments, coherence=scored(0.2, 0.4)), **LIMITS).title == "Two"
    assert best_excerpt(document(*segments, coherence=scored(0.4, 0.4)), **LIMITS).title == "One"
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


def test_what_does_not_begin_at_a_heading_ends_before_one_or_with_the_document():
    """A document's title names all of it, and of a paragraph in its middle nothing tells where it ends."""
    assert best_excerpt(document(H1, text(60), A, text(60), B), **LIMITS) is None
    assert best_excerpt(document(text(60), A, text(60)), **LIMITS) is None
    assert best_excerpt(document(text(60), A), **LIMITS).segments == (text(60), A)
    part = document(H1, text(60), A, Text("## A part"), text(60), B, B, B)
    assert [e.segments for e in excerpts(part, **LIMITS)] == [(H1, text(60), A), (Text("## A part"), text(60), B, B)]
    assert best_excerpt(document(H1, text(90), text(60), A, text(20), H2, text(200)), **LIMITS) is None


def test_where_nothing_ends_like_a_sentence_small_letters_and_endings_say_nothing():
    steps = [Text(" ".join([word] * 60)) for word in ("cut", "sand", "oil")]
    spoken = document(H1, steps[0], A, steps[1], B, steps[2], C)
    assert best_excerpt(spoken, **LIMITS).segments == (H1, steps[0], A)


def test_a_heading_is_preferred_even_with_fewer_pictures():
    found = best_excerpt(document(H1, text(60), A, H2, text(90), text(60), B, C), **LIMITS)
    assert found.segments == (H1, text(60), A)


def test_an_excerpt_never_starts_with_a_picture_that_belongs_to_the_text_above():
    whole = document(
        text(90),
        text(20),
        A,
        H2,
        text(50),
        B,
        coherence=Coherence((0.2, 0.4), (0.1, 0.15), (-1.0, 0.3), 0.175, 1.0, "m"),
    )
    found = best_excerpt(whole, max_words=60, max_images=1, min_words=20)
    assert (found.segments, found.title) == ((H2, text(50), B), "Two")
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


def test_nothing_is_taken_where_the_first_segment_is_too_long():
    assert list(excerpts(document(text(500), A, H2), **LIMITS)) == []


def test_an_excerpt_of_whole_sections_ends_with_its_own_and_not_with_some_of_its_parts():
    cut = document(text(5), H1, text(60), A, text(60), H2, text(90))
    assert best_excerpt(cut, **LIMITS).segments == (H1, text(60), A)
    assert best_excerpt(cut, **LIMITS, whole_sections=True) is None
    assert "is finished" in why_none(cut, **LIMITS, whole_sections=True)
    parts = document(text(5), H1, text(30), A, Text("## A part"), text(20), Text("## Another"), text(60), H2, text(90))
    assert best_excerpt(parts, **LIMITS).segments == (H1, text(30), A)
    assert best_excerpt(parts, **LIMITS, whole_sections=True) is None
    whole = document(text(5), H1, text(30), A, Text("## A part"), text(20), H2, text(90))
    assert best_excerpt(whole, **LIMITS, whole_sections=True).segments == whole.segments[1:6]


def test_of_several_things_that_are_announced_all_parts_are_there():
    def parts(says: str):
        return document(
            text(5), H1, Text(says), Text("## Saws"), text(40), A, Text("## Files"), text(90), H2, text(90)
        )  # fmt: skip

    assert best_excerpt(parts("Boards are cut."), **LIMITS).segments[-1] == A
    assert best_excerpt(parts("There are two ways to cut boards."), **LIMITS).segments[0] == Text("## Saws")


def test_an_excerpt_of_the_whole_document_has_its_title_and_one_of_its_first_section_that_of_the_section():
    short = document(H1, text(30), A, H2, text(20), coherence=None)
    assert (best_excerpt(short, **LIMITS).segments, best_excerpt(short, **LIMITS).title) == (
        short.segments,
        "The whole",
    )
    long = document(H1, text(60), A, H2, text(90))
    assert best_excerpt(long, **LIMITS).title == "One"


def test_a_difference_in_the_fifth_decimal_does_not_decide():
    segments = (H1, text(60), A, H2, text(60), B)
    scores = Coherence((0.2, 0.20004), (0.1, 0.1), (-1.0, 0.2), 0.1, 1.0, "m")
    assert best_excerpt(document(*segments, coherence=scores), **LIMITS).title == "One"


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
        ((H1, text(412), A), "the shortest part with an image has 413 words, and excerpt.max_words is 100"),
        ((H1, text(300), A, H2, text(110), B), "the shortest part with an image has 111 words"),
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


def test_the_shortest_part_is_found_in_time_in_proportion_to_the_segments():
    page = _Page(document(*[H1] * 5000, A), frozenset())
    started = time.process_time()
    assert page.shortest(20) == 20
    assert time.process_time() - started < 1  # with a walk from each heading to the image: 3 s
