"""Plain text, sentences and headings."""

from __future__ import annotations

import pytest

from filters.words import is_heading, plain, sentences


@pytest.mark.parametrize(
    "text, read",
    [
        ("Run it:\n```\nmake x\n``` and wait", "Run it:\n  and wait"),
        ("one```x```two```y```three", "one two three"),
        ("Name | Price\n| --- | :-: |\nSaw | 3", "Name  Price\n\nSaw  3"),
        ("  - **Cut** the `board` \n2) then *rest*", "Cut the board \nthen rest"),
        ("![a map](m.png) and [b](b.html)", "a map and b"),
    ],
)
def test_markdown_leaves_its_text(text, read):
    assert plain(text) == read


@pytest.mark.parametrize(
    "text, found",
    [
        ("", []),
        ("\n\n", []),
        ("One.\n\n\nTwo", ["One.", "Two"]),
        ("\n One. Two.", ["One.", "Two."]),
        ("Ask Dr. Smith", ["Ask Dr. Smith"]),
        ("Go. Ask Dr. Prof.", ["Go.", "Ask Dr. Prof."]),
        ("See Fig. 3, No. 4. Then go! Now", ["See Fig. 3, No. 4.", "Then go!", "Now"]),
    ],
)
def test_sentences(text, found):
    assert sentences(text) == found


@pytest.mark.parametrize(
    "text, heading",
    [("# A", True), ("  ###### A\n", True), ("#A", False), ("####### A", False), ("A # B", False), ("# A\nB", False),
     ("A\n===", True), ("\nA b\n-----\n", True), ("A\n~~~", True), ("A\n==", False), ("A\nb\n===", False),
     ("===", False), ("A\n===\nb", False), ("| a |\n|---|", False)],
)  # fmt: skip
def test_a_heading_is_one_line_with_its_marks(text, heading):
    assert is_heading(text) is heading
