from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import repetition, text
from filters.words import is_heading, plain, sentences, words
from schemas.records import Drop
from tests.filters.documents import PROSE, stats


@pytest.mark.parametrize(
    "rule, paragraph, drop",
    [
        (lambda s: text.word_count(s, at_least=5), "one two - three", Drop("word_count", 3, 5)),
        (lambda s: text.word_count(s, at_most=2), "one two three", Drop("word_count", 3, 2)),
        (lambda s: text.sentence_count(s, at_least=3), "Cut it. Sand it.", Drop("sentence_count", 2, 3)),
        (lambda s: text.mean_word_length(s, at_most=3), "four six6 tens", Drop("mean_word_length", 4, 3)),
        (lambda s: text.hashes_per_word(s, at_most=0.1), "# one\n# two", Drop("hashes_per_word", 0.5, 0.1)),
        (lambda s: text.ellipses_per_word(s, at_most=0.1), "well… so...", Drop("ellipses_per_word", 0.5, 0.1)),
        (lambda s: text.bullet_lines(s, at_most=0.5), "• a\n  - b\nc", Drop("bullet_lines", 0.666667, 0.5)),
        (
            lambda s: text.ellipsis_lines(s, at_most=0.3),
            "read on...\nmore… \nend.",
            Drop("ellipsis_lines", 0.666667, 0.3),
        ),
        (lambda s: text.alphabetic_words(s, at_least=0.8), "a1 22 + b", Drop("alphabetic_words", 0.5, 0.8)),
        (lambda s: text.stop_words(s, at_least=2), "the the The cat", Drop("stop_words", 1, 2)),
        (lambda s: text.stop_word_occurrences(s, at_least=3), "the the cat", Drop("stop_word_occurrences", 2, 3)),
        (lambda s: text.stop_word_share(s, at_least=0.6), "The cat of wood", Drop("stop_word_share", 0.5, 0.6)),
        (
            lambda s: text.flagged_words(s, words=frozenset({"bad"}), at_most=0.2),
            "Bad, good!",
            Drop("flagged_words", 0.5, 0.2),
        ),
        (
            lambda s: text.common_words(s, words=frozenset({"bad"}), at_least=0.9),
            "Bad, good!",
            Drop("common_words", 0.5, 0.9),
        ),
        (lambda s: text.special_characters(s, at_most=0.4), "ab 1😀", Drop("special_characters", 0.6, 0.4)),
        (lambda s: text.punctuation(s, at_least=0.3), "nut bolt screw.", Drop("punctuation", 0.25, 0.3)),
        (lambda s: text.upper_case(s, at_most=0.25), "BUY NOW a I", Drop("upper_case", 0.5, 0.25)),
        (lambda s: text.upper_case(s, at_most=0.25), "GO on", Drop("upper_case", 0.5, 0.25)),
        (lambda s: text.code(s, at_most=0.5), "hi\n```\nx = 1234567\n```", Drop("code", 0.863636, 0.5)),
        (lambda s: text.table_lines(s, at_most=0.5), "  | a |\nab", Drop("table_lines", 0.7, 0.5)),
        (lambda s: text.table_lines(s, at_most=0.5), "| a | b |\nab", Drop("table_lines", 0.75, 0.5)),
        (
            lambda s: repetition.char_repetition(s, length=3, at_most=0.1),
            "abcabcabcabc",
            Drop("char_repetition", 0.4, 0.1),
        ),
        (
            lambda s: repetition.word_repetition(s, length=2, at_most=0.1),
            "Turn it, turn it - off",
            Drop("word_repetition", 0.5, 0.1),
        ),
        (
            lambda s: repetition.duplicate_lines(s, at_most=0.3),
            "Press the green button.\nPress the green button.",
            Drop("duplicate_lines", 0.5, 0.3),
        ),
    ],
)
def test_each_rule_reports_what_it_measured_and_what_was_missed(rule, paragraph, drop):
    assert rule(stats(paragraph)) == drop


def test_a_value_on_the_threshold_is_kept():
    assert text.word_count(stats("one two three"), at_least=3, at_most=3) is None
    assert text.alphabetic_words(stats("a b c 1 d"), at_least=0.8) is None


@pytest.mark.parametrize("rule", [text.word_count, text.sentence_count, text.image_count, text.mean_word_length])
def test_a_limit_that_is_not_given_is_none(rule):
    long = stats("Antidisestablishmentarianism ends. " * 99, *[(9, 9)] * 99)
    assert rule(long, at_least=1) is None
    assert rule(stats(""), at_most=1) is None
    assert rule(long, at_most=1).threshold == 1
    assert rule(stats(""), at_least=0.5) == Drop(rule.__name__, 0, 0.5)


def test_an_empty_text_has_shares_of_zero():
    for rule in (text.upper_case, text.code, text.bullet_lines, text.special_characters):
        assert rule(stats(""), at_most=0) is None
    assert text.punctuation(stats(""), at_least=0.1) == Drop("punctuation", 0, 0.1)


def test_values_are_rounded_before_they_are_compared():
    three_in_seven = "a b c 1 2 3 4"
    assert text.alphabetic_words(stats(three_in_seven), at_least=3 / 7 + 4e-7) == Drop(
        "alphabetic_words", 0.428571, 3 / 7 + 4e-7
    )
    assert text.alphabetic_words(stats(three_in_seven), at_least=0.428571) is None


def test_images_and_words_per_image():
    page = stats("ten words are in here as you can see now", (9, 9), (9, 9), (9, 9))
    assert text.image_count(page, at_most=2) == Drop("image_count", 3, 2)
    assert text.words_per_image(page, at_least=50) == Drop("words_per_image", 3.333333, 50)
    assert text.words_per_image(page, at_least=50, from_images=4) is None
    assert text.words_per_image(page, at_least=50, from_images=3) == Drop("words_per_image", 3.333333, 50)
    assert text.words_per_image(stats("one", (9, 9)), at_least=50) == Drop("words_per_image", 1, 50)
    assert text.words_per_image(stats("one"), at_least=50, from_images=0) == Drop("words_per_image", 1, 50)
    assert text.words_per_image(stats("no images"), at_least=50) is None


def test_tokens_keep_addresses_and_contractions_whole():
    assert stats("Don't open https://a.example/b-c?d=1 (3.5 kg) --- ok...").sequence == [
        "Don't",
        "open",
        "https://a.example/b-c?d=1",
        "(",
        "3.5",
        "kg",
        ")",
        "---",
        "ok",
        "...",
    ]


def test_a_code_block_that_is_never_closed_reaches_to_the_end():
    assert text.code(stats("ab\n```\nx = 1"), at_most=0.5) == Drop("code", 0.75, 0.5)


@pytest.mark.parametrize(
    "written, share",
    [
        ("```npm install``` installs it.\nRead on.", 0),
        ("~~~ python\nx = 1\n~~~\nabcd", 0.8),
        ("ab cd\n~~~\nx\n~~~", 0.6),
        ("````\n```\nx\n```\n````", 1),
        ("API\n~~~\nIt is text.\nFAQ\n~~~\nSo is it.", 0),
        ("Above\n~~~\nand below.", 0),
    ],
)
def test_which_fences_begin_code(written, share):
    drop = text.code(stats(written), at_most=0)
    assert (drop.value if drop else 0) == share


def test_an_rst_underline_is_no_code():
    assert text.code(stats("Title\n~~~~~\nText that is no code"), at_most=0) is None


@pytest.mark.parametrize(
    "paragraph",
    [
        "",
        " \n\n",
        "…",
        "#",
        "# Only\n## Headings",
        "字",
        "木の板を切ります。",
        "😀🎉",
        "e\u0301",
        "word",
        "\ud800",
        "\x00",
    ],
)
def test_odd_texts_measure_without_error(paragraph):
    for _, rule in _rules():
        rule(stats(paragraph))


@given(st.text(alphabet=st.sampled_from('ab .\n[]()!`*|-#1…"A') | st.characters(), max_size=200))
def test_any_text_measures_without_error_and_shares_stay_shares(paragraph):
    page = stats(paragraph)
    for name, rule in _rules():
        drop = rule(page)
        if drop and name not in {
            "mean_word_length",
            "word_count",
            "sentence_count",
            "image_count",
            "stop_words",
            "stop_word_occurrences",
            "words_per_image",
            "hashes_per_word",
            "ellipses_per_word",
        }:
            assert 0 <= drop.value <= 1, name


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "![",
        "[a](",
        "[a]((x)",
        "\n",
        " \n",
        "A. ",
        "No. 1 ",
        "```\n",
        "|\n",
        "| - ",
        '.""',
        "a-",
        "字",
        "😀",
        "1. ",
        "-",
        "http://",
        "...",
        "#",
        "~~~\n",
        "``` a\n",
        "`a` ",
    ],
)
def test_long_monotone_texts_take_linear_time(unit):
    """Quadratic matching would need minutes for 200,000 characters; the suite's own time limit is the judge."""
    long = unit * (200_000 // len(unit)) + "x"
    plain(long), sentences(long), words(long), is_heading(long)
    page = stats(long)
    for _name, rule in _rules():
        rule(page)


def test_links_lose_their_address_with_parentheses_and_around_pictures():
    assert plain("See [the page](https://a.example/b_(c)) now") == "See the page now"
    assert plain("[![a map](map.png)](https://a.example/map)") == "a map"


def test_an_abbreviation_does_not_end_a_sentence():
    assert sentences("Ask Dr. Smith, e.g. The one in No. 5. Then go.") == [
        "Ask Dr. Smith, e.g. The one in No. 5.",
        "Then go.",
    ]


def test_prose_passes_what_a_menu_fails():
    menu = "HOME | NEWS | SHOP | CONTACT | LOGIN | CART | HELP"
    for rule in (
        lambda s: text.stop_word_share(s, at_least=0.2),
        lambda s: text.upper_case(s, at_most=0.25),
        lambda s: text.alphabetic_words(s, at_least=0.6),
    ):
        assert rule(stats(PROSE)) is None
        assert rule(stats(menu)) is not None


def _rules():
    """Every rule of the two modules with thresholds that nothing can meet, so that it must report its value."""
    for module in (text, repetition):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith(("_", "x_")):  # x_: mutants
                known = inspect.signature(function).parameters
                limits = {"at_most": -1} if "at_most" in known else {"at_least": 1e12}
                extra = {"length": 3} if "length" in known else {"words": frozenset({"a"})} if "words" in known else {}
                yield name, lambda page, f=function, a=limits | extra: f(page, **a)
