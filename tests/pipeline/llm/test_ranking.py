"""Which of several instructions tells its document from others."""

import pytest

from pipeline.llm.ranking import tells
from schemas.records import Document, Text

SEARCH = Document(
    "1",
    "s",
    (
        Text("Binary search finds 41 in a sorted list. Look at the middle and throw away half of the list."),
        Text("Each look halves what is left, so binary search needs only seven looks for a hundred numbers."),
    ),
)


def test_the_subject_counts_more_than_a_detail():
    assert tells("Explain binary search.", SEARCH) > tells("Tell me about the middle.", SEARCH) > 0


def test_numbers_and_words_of_the_request_count_nothing():
    assert tells("Write an illustrated lesson on the 41.", SEARCH) == 0


def test_rare_words_count_more_than_frequent_ones():
    page = Document("1", "s", (Text("A sundial can be made. Use time to make a sundial at any time."),))
    assert tells("How do I make a sundial?", page) > tells("How do I use time?", page)


def test_a_word_that_the_document_lacks_counts_nothing():
    assert tells("Explain binary search in Java.", SEARCH) == tells("Explain binary search.", SEARCH)


def test_another_occurrence_counts_less_than_the_first():
    once, twice, often = (Document("1", "s", (Text("sundial " * n),)) for n in (1, 2, 20))
    first, second, last = (tells("Build a sundial.", page) for page in (once, twice, often))
    assert first < second < last < 2.5 * first
    assert (second / first, last / first) == pytest.approx((5 / 3.5, 50 / 21.5), abs=1e-3)  # BM25 with k = 1.5
