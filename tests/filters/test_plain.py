"""Markdown to plain text: what is taken away, and what only looks like a mark."""

from __future__ import annotations

import time

import pytest

from filters.plain import plain


@pytest.mark.parametrize(
    "text, read",
    [
        ("**S**earch **A**nd, ***both***, **bold *it* x**", "Search And, both, bold it x"),
        ("_**x**_, **_y_**, __z__, _set_plot_, *_a_*", "x, y, z, set_plot, a"),
        ("**Note:** see **[the map](m.html)**, **`x_y`**.", "Note: see the map, x_y."),
        ("**Bold\nover lines**; \u8fd9**\u7c97**\u4f53", "Bold\nover lines; \u8fd9\u7c97\u4f53"),
        ("# One #\n###  Two ##\n# C# #", "One\nTwo\nC#"),
        ("> quote\n> > deep\n> - item\n> ## head ##", "quote\ndeep\nitem\nhead"),
        ("* one\n+ two\n1. three\n22) # four", "one\ntwo\nthree\nfour"),
        ("A\n***\n* * *\n___\nB", "A\n\n\n\nB"),
        ("|a|b|\n|-|-|\n|c|**d**|", "a b \n\n c d"),
        ("a|b\n-|-\nc|d\n\nx|y", "a b\n\nc d\n\nx|y"),
        ("[![a map](m.png)](big.html) and [a `]` b](c)", "a map and a ] b"),
        ("`a_b_` *c* `# d | e` ``f`g``", "a_b_ c # d | e f`g"),
        ("[x](u`v`w) then `z`", "x then z"),
        ("HTTP\\_HOST, \\*no\\* and C\\#", "HTTP_HOST, *no* and C#"),
        ("&lt;add&gt; &amp; &#x41;&nbsp;&copy;", "<add> & A \u00a9"),
        ("see `docs <u>`_, Python_ and [1]_: ____", "see docs <u>, Python and [1]:"),
    ],
)
def test_marks_are_taken_away(text, read):
    assert plain(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "Programming in C#, F# and #hashtags",
        "#hashtag, issue #3 and a # b",
        "set_plot, _ready() and _process(), doc_string",
        "gtk>=3, a -> b, x > y, <kbd>",
        "Use the | operator, a || b, |x|",
        "2*3 and 4*2, 5 * 6, *args, **kwargs, f(*a, *b), int *p",
        "AT&T, a&b;, &bogus; ?a=1&copy=2",
        "C:\\new\\table",
        "-5 degrees, 3.5 g and +4",
    ],
)
def test_what_only_looks_like_a_mark_stays(text):
    assert plain(text) == text


def test_code_is_literal():
    assert plain("`&lt;b&gt;`, ``**x**``, `[a](b)` and `__init__`") == "&lt;b&gt;, **x**, [a](b) and __init__"


def test_an_entity_makes_no_control_character():
    assert plain("a&#13;b&#27;c&#129;d&shy;e&NewLine;f&#0;") == "a bcde f\ufffd"


@pytest.mark.parametrize(
    "part",
    ["*", "**a", "*a ", "*_ ", "_", " _a", "a_", "_a_b ", "`", "`` ` ", "`a", "[", "[a](", "[](())", "|", "|\n", "# ",
     " #", "\t", "> ", "- ", "1. ", "\n ", "&a", "&#1", "\\_", "=", "***\n"],
)  # fmt: skip
def test_hostile_texts_take_no_more_time_than_their_length_allows(part):
    """A pattern that goes back over what it has read would take minutes."""
    text = (part * 100_000)[:100_000]
    before = time.process_time()
    for end in ("", "x", "*", "_x", "`"):
        plain(text + end)
        plain(f"# {text}{end}")
        plain(f"_{text}{end}")
    assert time.process_time() - before < 20
