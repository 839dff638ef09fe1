"""What counts as repetition, to the single character."""

from __future__ import annotations

from filters import repetition
from schemas.records import Drop
from tests.filters.documents import stats


def characters(text, length=2):
    return repetition.char_repetition(stats(text), length=length, at_most=-1)


def words(text, length=2):
    return repetition.word_repetition(stats(text), length=length, at_most=-1)


def lines(text, **shortest):
    return repetition.duplicate_lines(stats(text), at_most=-1, **shortest)


def test_only_the_most_frequent_character_n_grams_that_repeat_count():
    assert characters("ababxy").value == 0.4  # ab twice of 5; ba, bx and xy once
    assert characters("abxycdabxycdabxycd").value == 0.352941  # isqrt(6) = 2 of the six that repeat, 3 + 3 of 17
    assert characters("aabbccaabbcc").value == 0.363636


def test_a_text_that_is_too_short_has_no_n_gram():
    assert characters("a") is None and words("one") is None
    assert characters("ab") == Drop("char_repetition", 0, -1) and words("one two") == Drop("word_repetition", 0, -1)


def test_words_are_compared_in_lower_case_and_by_their_spelling():
    assert words("Saw it. saw IT").value == 0.666667
    assert words("Die Masse und die Maße").value == 0


def test_a_line_of_twenty_characters_counts_and_a_shorter_one_does_not():
    assert lines(f"{'a' * 20}\n  {'a' * 20} \n{'b' * 19}\n{'b' * 19}").value == 0.5
    assert lines(f"{'b' * 19}\n{'b' * 19}") is None
    assert lines(f"{'b' * 19}\n{'b' * 19}", shortest=19).value == 0.5
