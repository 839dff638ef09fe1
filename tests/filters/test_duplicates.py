from __future__ import annotations

import pytest

from filters.duplicates import text_digest
from tests.filters.documents import document


@pytest.mark.parametrize(
    "other",
    [
        ("cut the BOARD", "sand it."),
        ("**Cut** the  board.\n\nSand it!",),
        ("Cut the board", (9, 9), "- Sand it"),
        ("Ｃut the board", "Sand it"),
    ],
)
def test_the_same_words_have_the_same_digest(other):
    assert text_digest(document(*other)) == text_digest(document("Cut the board.", "Sand it."))


@pytest.mark.parametrize(
    "other", [("Cut the board.",), ("Sand it.", "Cut the board."), ("Cut the boards.", "Sand it.")]
)
def test_other_words_or_another_order_differ(other):
    assert text_digest(document(*other)) != text_digest(document("Cut the board.", "Sand it."))


def test_documents_without_words_are_no_repeats_of_each_other():
    assert text_digest(document((1, 1), id="a")) != text_digest(document((1, 1), id="b"))
    assert text_digest(document("😀", id="a")) != text_digest(document(id="b"))


def test_it_is_32_hex_digits_that_never_change():
    assert text_digest(document("Cut the board.")) == "c5bb5b6fa0a2a2a4cc2eedfa257ead67"


def test_an_id_that_is_no_valid_unicode_has_a_digest_too():
    assert text_digest(document(id="\ud800")) != text_digest(document(id="\ud801"))
