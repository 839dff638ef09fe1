from __future__ import annotations

import pytest

from pipeline.corpora.residue import without_residue
from schemas.records import Image, Text

A, B = Image("a.png"), Image("b.png")


def cleaned(*segments):
    """Strings stand for texts; what is left, with texts as strings again."""
    found = without_residue(Text(s) if isinstance(s, str) else s for s in segments)
    return [s.text if isinstance(s, Text) else s for s in found]


@pytest.mark.parametrize(
    "before, after, left",
    [
        (
            "3. Press **Next**.  \n    [",
            "](site/_static/big1.png)\n4. Press **Done**.",
            ("3. Press **Next**.", "4. Press **Done**."),
        ),
        ("[", "](site/_static/big1.png)", ()),
        ("[", "](big.png#lightbox) .\n5. Close it.", ("5. Close it.",)),
        ("Look: [", "](big.png), then go on.", ("Look:", "then go on.")),
        ("Look: [", '](big.png "The (whole) saw") and go on.', ("Look:", "and go on.")),
        ("Look: [", "][large] and go on.", ("Look:", "and go on.")),
        ("Look: [", "](saws_(tools).html)", ("Look:",)),
        ("Look: [", "](big.png) .hidden files stay", ("Look:", ".hidden files stay")),
        ("Look: [", "And no other half", ("Look:", "And no other half")),
        ("And no first half", "](big.png)\nGo on.", ("And no first half", "Go on.")),
    ],
)
def test_halves_of_a_link_go_from_both_sides_of_a_picture(before, after, left):
    assert [s for s in cleaned(before, A, after) if s != A] == list(left)


def test_a_row_of_linked_pictures():
    assert cleaned("Badges [", A, "](one)\n[", B, "](two)") == ["Badges", A, B]


def test_two_halves_without_their_picture_go_too():
    assert cleaned("Watch [", "](https://example.org/film)", "the film.") == ["Watch", "the film."]


@pytest.mark.parametrize(
    "text",
    [
        "See [the manual](manual.md) and ![a saw](saw.png).",
        "[the manual](manual.md)",
        "An array: `int[](n)`",
        "- [ ] Buy wood",
        "a footnote[1]",
        "[![badge](a.svg)](b)",
        "The formula is \\[",
        "```\nx = [\n```",
        "```js\ncall[](https://example.org)\n```",
        "`[](https://example.org)` shows nothing",
        "![](https://example.org/a.png)",
    ],
)
def test_markdown_that_means_something_stays(text):
    assert cleaned(A, text, B) == [A, text, B]


def test_halves_that_stand_beside_nothing_stay():
    assert cleaned("The list opens with [", "one, two", "](x) closes nothing") == [
        "The list opens with [",
        "one, two",
        "](x) closes nothing",
    ]


@pytest.mark.parametrize(
    "after, left",
    [
        ('"Don\'t break any yarns." %}', []),
        ('"A plan with the title "How we work"" %}\n*How we work.*', ["*How we work.*"]),
        ('"width-300px" "A list of types." %} Then go on.', ["Then go on."]),
        ('"The site." %}](https://example.org)\nGo on.', ["Go on."]),
        ('"A quotation," he said, of 5 %.', ['"A quotation," he said, of 5 %.']),
    ],
)
def test_the_rest_of_a_template_tag_goes_from_behind_its_picture(after, left):
    assert cleaned("See [" if "](" in after else "See", A, after) == ["See", A, *left]
    assert cleaned("See", after) == ["See", after]


def test_links_that_show_nothing_go():
    assert cleaned("Fetch it[](https://example.org/a)[ ](https://example.org/a) [here](https://example.org/a).") == [
        "Fetch it [here](https://example.org/a)."
    ]
    assert cleaned("[\xa0](http://example.org/)") == []


def test_texts_without_residue_are_the_same_objects():
    segments = (Text("One.  \n"), A, Text("* * *"))
    assert all(a is b for a, b in zip(without_residue(segments), segments, strict=True))
