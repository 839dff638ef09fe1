"""No character of a stranger's text steers a terminal, breaks a table or hides in a page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from schemas.errors import one_line
from schemas.printable import line, markdown, printable

STEERING = {
    "CSI": "\x1b[31m",
    "OSC": "\x1b]0;title\x07",
    "OSC 8": "\x1b]8;;http://evil\x1b\\",
    "C1 CSI": "\x9b31m",
    "C1 OSC": "\x9d0;t\x9c",
    "DCS": "\x90q\x9c",
    "bell": "\x07",
    "backspace": "\x08\x08",
    "return": "\r",
    "NUL": "\0",
    "delete": "\x7f",
    "right to left": "\u202e",
    "isolate": "\u2066\u2069",
    "marks": "\u200e\u200f\u061c",
    "zero width": "\u200b\u200c\u200d\ufeff",
    "soft hyphen": "\u00ad",
    "separators": "\u2028\u2029\x85",
    "tags": "\U000e0041",
    "private": "\ue000",
    "half a pair": "\ud83d",
}


def steers(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in text)


@pytest.mark.parametrize("name", STEERING)
def test_what_steers_goes(name):
    for shown in (printable(f"a{STEERING[name]}b"), line(f"a{STEERING[name]}b"), markdown(f"a{STEERING[name]}b")):
        assert not steers(shown) and shown[0] == "a" and shown[-1] == "b"


def test_words_stay():
    text = "Schneide das Brett – 木を切る, قصّ 👍 and\u00a0go\ton\nnext"
    assert printable(text) == "Schneide das Brett – 木を切る, قصّ 👍 and go on\nnext"
    assert line(text).endswith("go on next")


@given(st.text())
def test_any_text(text):
    assert not steers(printable(text).replace("\n", "")) and not steers(line(text)) and "\n" not in line(text)
    assert printable(printable(text)) == printable(text)


def test_what_goes_on_one_line_is_printable():
    assert one_line("bad \x1b]0;pwned\x07\u202e\n file") == "bad ]0;pwned file"
    assert one_line("木 " * 200, 5) == "木 木 …"


MARKUP = [
    "![x](http://evil/p.png)",
    "[click](javascript:alert(1))",
    "<script>alert(1)</script>",
    "<img src=x onerror=a>",
    "`code`",
    "**bold**",
    "_thin_",
    "a|b|c",
    "a\n|b|",
    "\\| x",
    "# head",
    "http://evil.example",
    "HTTPS://evil.example",
    "www.evil.example",
    "me@evil.example",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "~~x~~",
    "$x$",
    "![a][b]\n\n[b]: http://evil",
    "<http://evil>",
    "<!-- x",
    "]]>",
    "\\<b>",
    "a\x1b]8;;http://evil\x07b",
]


@pytest.mark.parametrize("text", MARKUP)
def test_words_in_a_table_make_no_markup(text):
    """Also where the renderer makes links of bare addresses, as GitHub's does."""
    table = f"| source | number |\n|---|---|\n| {markdown(text)} | 3 |\n"
    parser = MarkdownIt("commonmark", {"linkify": False}).enable("table")
    html = parser.render(table)
    cell = html.split("<td>")[1].split("</td>")[0]
    assert html.count("<td>") == 2 and "<" not in cell
    raw = markdown(text).lower()
    assert "://" not in raw and "www." not in raw and "@evil." not in raw


def test_names_of_sources_and_licences_stay_readable():
    for name in (
        "howto_large",
        "CC-BY-SA-4.0",
        "Stack Exchange (diy)",
        "wikiHow",
        "dropped: word_count",
        "model@1a2b3c",
    ):
        assert markdown(name) == name
