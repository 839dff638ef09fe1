"""Where an excerpt may begin and end, and the boxes that it never has a part of."""

from __future__ import annotations

import pytest

from filters.words import words
from pipeline.instances.ends import LEAD, LESSON_AGAIN, PARTS, SECTION, SENTENCE, Form, boxed, goes_on, leans_back
from pipeline.instances.excerpt import best_excerpt
from schemas.records import Document, Image, Text

IMAGE = Image("a.jpg")


def page(*parts: str) -> tuple[Text | Image, ...]:
    """Texts, and an image for each empty one."""
    return tuple(Text(part) if part else IMAGE for part in parts)


def long(words: int = LESSON_AGAIN) -> str:
    return " ".join(["Word"] + ["word"] * (words - 1)) + "."


@pytest.mark.parametrize(
    "parts, inside",
    [
        (("# A", "Text.", "## Review Questions", "1. Why?", "2. How?"), {2, 3, 4}),
        (("# A", "## Review questions:", "1. Why?", "### More", "Text.", "## B", "Text."), {1, 2, 3, 4}),
        (("# About the authors", long(), long(), "# B"), {0, 1, 2}),
        (("## Teacher Support", long(), long(59), "", long(60), ""), {0, 1, 2, 3}),
        (
            ("## Teacher Support", "[BL] Ask.", "[OL] " + long(90), "- " + long(90), "and " + long(90), long()),
            {*range(5)},
        ),
        (("Teacher Support", "Text."), set()),
        (("## Teacher training", "Text."), set()),
        (
            ("## Standards", "Topic: 7", "## Suggested Sequencing", "Use this.", long(), "## References", long()),
            {0, 1, 2, 3, 5, 6},
        ),
    ],
)
def test_a_box_goes_to_the_next_heading_of_its_level_or_for_teachers_to_the_lesson(parts, inside):
    assert boxed(page(*parts)) == inside


@pytest.mark.parametrize(
    "parts, inside",
    [
        (("# A", "", "## Exercises", "Lift.", "", "## Links", "Of the wall."), {5, 6}),
        (("# A", "", "## Links", "Text.", "", "## Comments", "Text.", ""), set()),
        (("# A", "", "## Links", "One.", "## Comments", "### Ann", "Two.", "## See also", "B"), {*range(2, 9)}),
        (("# A", "", "## Links", "One.", "## Use", "Two."), set()),
        (("# A", "", "## Links", "One.", "# B", "Two."), set()),
        (("# A", "", "## Links in HTML", "One."), set()),
    ],
)
def test_a_name_that_a_lesson_may_have_too_begins_a_box_only_behind_all_lessons(parts, inside):
    assert boxed(page(*parts)) == inside


def test_such_a_name_begins_a_box_where_it_recurs():
    parts = page("# A", "", "## Problems", "Solve it.", "", "## B", "Text.")
    assert boxed(parts, "## Problems".__eq__) == {2, 3, 4}
    assert boxed(parts, "## B".__eq__) == boxed(parts) == set()


@pytest.mark.parametrize(
    "text, on", [("2. B", True), ("1. A", False), ("12) L", True), ("b) B", True), ("- a", True), ("*A*", False),
                 ("2020 was dry.", False), ("and", True), ("• a", True), ("**A** b", False),
                 ("Step two", True), ("Question b", True), ("Problem solving", False), ("Step by step", False)],
)  # fmt: skip
def test_what_goes_on(text, on):
    assert goes_on(text) is on


@pytest.mark.parametrize(
    "text, back",
    [("This is it.", True), ("Thistles grow.", False), ("For example, a saw.", True), ("For examples see A.", False),
     ("Third, it is dry.", True), ("Third graders saw.", False), ("Notice the saw.", True), ("the following", True), ("The saw", False), ("However, no.", True), ("Theme", False)],
)  # fmt: skip
def test_what_leans_back(text, back):
    assert leans_back(text) is back


def found(*parts: str, start: int = 0, most: int = 100, images: int = 4) -> list[tuple[int, int]]:
    return list(Form.of(page(*parts)).ends(start, most, images))


def test_the_longest_of_each_kind():
    assert found("# A", "One.", "", "Two.", "# B", "Three.", "Four.", "five", "Six.", most=7) == [
        (SECTION, 4),
        (SENTENCE, 3),
    ]
    assert found("Text.", "# A", "One.", "", "Two.", "# B", "Three.", "Four.", "five", "Six.", most=8) == [
        (LEAD, 1),
        (PARTS, 5),
        (SENTENCE, 7),
    ]
    assert found("# A", "One", "two", "three.", most=2) == []
    assert found("# A", "One", "Two", "three") == [(SECTION, 4), (SENTENCE, 3)]


@pytest.mark.parametrize(
    "parts, kept",
    [
        (("One.", "", "1. Two.", "2. Three.", "3. Four."), 2),  # not inside a list
        (("One.", "", "Two:", "- Three."), 2),  # nor with what announces it
        (("One.", "", "Two.", "", "Five six seven."), 2),  # nor between a text and its image
        (("One.", "", "Two", "three four five."), 2),  # nor inside a sentence
        (("One.", "", "Two.", "Four five six seven."), 3),
        (("One.", "", "A caption", "Four five six seven."), 3),
        (("One.", "", "Two.", "```\ncode\n```", "Four five six."), 4),
        (("One.", "", "Two.", "| a |", "Four five six."), 4),
        (("One.", "", "1. Two.", "1. Three.", "", "1. Four."), 2),  # nor inside one whose numbers are all 1
        (("One.", "1. Two.", "", "1. Four five."), 1),
        (("One.", "1. Two.", "Three.", "1. Four.", "", "Five six."), 5),
        (("One.", "Two.", "", "This shows five six seven."), 1),
        (("One.", "", "Step 1: Two.", "Step 2: Three."), 2),
        (("One.", "", "Two follow.", "In this lesson, you will use a saw.", "Five."), 3),
        (("One.", "", "Two follow.", "Let's get started!", "Five."), 3),
        (("One.", "", "Five.", "Six:", "2. Two.", "Three four."), 3),  # what stands below an item may belong to it
        (("One.", "", "Why two?", "Three four."), 2),
        (("One.", "", "Two.", "Now we will prove it.", "Five six."), 3),
        (("One.", "", "Two.", "It is in the following [section](a.html#b).", "Five six."), 3),
        (("One.", "Two?", "", "This shows five six seven."), 1),  # the image's explanation is missing
    ],
)
def test_an_excerpt_ends_where_something_is_finished(parts, kept):
    limit = 1 + sum(len(words(part)) for part in parts[:-1])
    assert found("# A", *parts, most=limit, images=1)[-1] == (1, 1 + kept)


@pytest.mark.parametrize(
    "above, ends",
    [(long(31), True), (long(31)[:-1], False), (long(30)[:-1], True), (long(31)[:-1] + ":", True),
     ("- " + long(31)[:-1], True), ("# " + long(31)[:-1], False), (long(31)[:-1] + "\n", False)],
)  # fmt: skip
def test_an_image_is_an_end_unless_the_paragraph_above_it_breaks_off(above, ends):
    assert found(above, "", "Saws cut.", most=len(words(above))) == ([(SENTENCE, 2)] if ends else [])


def test_a_section_ends_before_a_heading_of_its_level_not_before_its_own_parts_or_a_box():
    assert found("# A", "One.", "## B", "Two.", "### C", "Three four five.", most=4) == [(LEAD, 2), (PARTS, 4)]
    assert found("# A", "One.", "## B", "Two.", "## C", "Three four five.", most=4) == [(LEAD, 2), (PARTS, 4)]
    assert found("# A", "One.", "## B", "Two.", "# C", "Three four five.", most=4) == [(SECTION, 4), (LEAD, 2)]
    assert found("# A", "One.", "## Quiz", "Two.", most=4) == [(SECTION, 2)]
    assert found("# A", "One.", "## Quiz", "Two.", "## B", "Three.", most=4) == [(LEAD, 2)]
    assert found("# A", "One:", "## B", "Two three four five.", most=4) == []


@pytest.mark.parametrize(
    "heading", ["### Step 2: Saw", "### Step 2", "### 2. Saw", "## Solution", "## Strategy", "## Discussion"]
)
def test_what_the_next_heading_goes_on_with_is_not_finished(heading):
    assert found("# A", "One.", heading, "Two three four five.", most=5) == []


def test_what_the_heading_behind_a_box_goes_on_with_is_not_finished_and_the_box_says_nothing():
    assert found("# A", "One.", "# Quiz", "Two.", "# Step 2", "Three four five.", most=4) == []
    for box in ("# Answers", "# duration: 5 min"):
        assert found("# A", "One.", box, "Two.", "# B", "Three four five.", most=4) == [(SECTION, 2)]


def test_a_box_behind_a_document_does_not_make_its_first_heading_one_of_several():
    lesson = "# A", long(40), "", long(40), ""
    assert best(*lesson) is best(*lesson, "# References", long(9)) is None
    assert best(*lesson, "# B", long(60))[1] == ["# A", long(40), ""]


@pytest.mark.parametrize(
    "below", ["This option saws it.", "However, it is dry.", "The next board", "While this dries, saw.", "To wrap up,"]
)
def test_a_heading_whose_text_refers_to_what_is_above_is_no_beginning(below):
    rest = " " + long(20).lower()
    assert best("# A", long(90), "## B", below + rest, "") is None
    assert best("# A", long(90), "## B", "In this short section, a board is cut." + rest, "")[0] == "B"


def test_it_does_not_leave_the_part_it_began_in():
    parts = ("# A", "## B", "One.", "## C", "Two.", "# D", "Three.")
    assert found(*parts, start=1) == [(SECTION, 3)]  # what its title names, and no section beside it
    assert found(*parts, start=2) == [(SECTION, 3)]
    assert found(*parts) == [(SECTION, 7), (PARTS, 3)]


def best(*parts: str, **limits: int):
    found = best_excerpt(Document("d", "s", page(*parts), title="T"), max_words=80, max_images=2, min_words=5, **limits)
    return (found.title, [s.text if isinstance(s, Text) else "" for s in found.segments]) if found else None


@pytest.mark.parametrize("first", ["Third, it is dry. ", "For example, a saw. ", "But what if it is wet? "])
@pytest.mark.parametrize("image", [[], [""]])
def test_a_document_that_begins_in_the_middle_does_not_begin_an_excerpt(first, image):
    assert best(*image, first + long(20), "", "# B", long(90)) is None
    assert best(*image, "This is a saw. " + long(20), "", "# B", long(90))


def test_the_heading_of_a_later_step_begins_no_excerpt():
    assert best("# A", long(90), "## Step 12", long(20), "") is None
    assert best("# A", long(90), "## Step 1", long(20), "")[1] == ["## Step 1", long(20), ""]


def test_what_stands_behind_a_box_is_a_beginning_named_after_the_heading_above_the_box():
    lesson = long()
    assert best("# A", "## Standards", "HTS-1", "## Suggested Sequencing", "Use it.", lesson, "", "# B", long(90)) == (
        "A", [lesson, ""])  # fmt: skip


def test_an_unfinished_excerpt_is_none_however_many_images_it_has():
    whole, cut = long(20), "1. " + long(20)
    assert best("# A", cut, "", "2. " + long(20), "", "3. " + long(60), "# B", whole, "", "# C", long(90)) == (
        "B", ["# B", whole, ""])  # fmt: skip
    assert best("# A", cut, "", "2. " + long(20), "", "3. " + long(60)) is None


def test_the_end_of_a_section_is_better_than_more_images_and_of_two_the_one_with_more():
    one, two, three = long(20), long(21), long(22)
    assert best("# A", one, "", "# B", two, "", long(50))[1] == ["# A", one, ""]
    assert best("# A", one, "", "# B", two, "", three, "", "# C", long(90))[1] == ["# B", two, "", three, ""]


def test_a_section_whose_text_leans_back_is_no_beginning():
    far, leaning = long(90), "These are " + long(10)
    assert best("# A", far, leaning, "") is None
    assert best("# A", far, "# B", leaning, "")[1] == ["# B", leaning, ""]
    assert best("# A", far, "# B", "However, " + long(10), "") is None


def test_bylines_are_no_part_of_an_excerpt():
    assert best("# A", "by Ann Lee", long(20), "") == ("A", [long(20), ""])
    assert best("# A", "By Ann the board is sawn, and then it is sanded for a day.", "")[1][1].startswith("By Ann")


def test_what_begins_behind_a_byline_under_the_documents_title_is_its_opening_or_all_of_it():
    begun = "By Ann Lee", long(20), "", "# B", long(20)
    assert best(*begun, "# C", long(90)) == ("T", [long(20), ""])
    assert best(*begun) == ("T", list(begun[1:]))


def test_a_document_that_is_only_a_box_has_no_excerpt():
    assert best("# About the authors", long(20), "") is None
