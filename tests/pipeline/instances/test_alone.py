"""Excerpts that name what came before, or do not have all that they announce, are not taken."""

from __future__ import annotations

import pytest

from pipeline.instances.ends import boxed
from pipeline.instances.excerpt import best_excerpt
from schemas.records import Document, Image, Text

IMAGE = Image("a.jpg")
PLAIN = "Cut the board with a saw, hold it with one hand, and saw slowly until the piece falls off. Sand the edge."
BELOW = "Glue dries in an hour if the room is warm, and in a day if it is cold; press both boards together firmly."


def chosen(*parts: str, min_words: int = 10) -> list[str] | None:
    """The texts of the best excerpt of a document whose empty parts are images."""
    segments = tuple(Text(part) if part else IMAGE for part in parts)
    found = best_excerpt(Document("d", "s", segments), max_words=60, max_images=1, min_words=min_words)
    return None if found is None else [segment.text for segment in found.segments if isinstance(segment, Text)]


@pytest.mark.parametrize(
    "text",
    [
        "Open the scene from the previous tutorial.",
        "Take the board that you made in lesson 3.",
        "As we noted, boards warp.",
        "We already installed the saw.",
        "Earlier, you have read about saws.",
        "Based on our earlier example, saw again.",
        "Having discussed saws, we now turn to glue.",
        "Run the saw as before.",
        "Use the file you created above.",
        "As mentioned previously, boards warp.",
        "Use the saw that you chose in chapter 2.",
        "Saw again (see [above](#sawing)).",
        "Use the board that we sawed to earlier.",
        "Let's keep sawing.",
        "Take one of the saws in Step 4 below.",
        "This chapter is divided into three sections.",
        "*Editor's note: Ann saws.*",
        "Originally published in a magazine.",
        "This is part two of a series.",
        "I will read it, and it is half of your final grade.",
    ],
)
def test_what_names_something_before_it_is_no_excerpt(text):
    assert chosen("# Sawing", f"{text} {PLAIN}", "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]
    assert chosen("# Sawing", PLAIN, "", "# Gluing", BELOW, "") == ["# Sawing", PLAIN]


def test_what_stands_above_may_be_inside_the_excerpt():
    texts = ["# Sawing", "Mark the board.", "Draw a line.", "Take a saw.", f"Saw the line that you made above. {PLAIN}"]
    assert chosen(*texts, "", "# Gluing", BELOW, "") == texts


@pytest.mark.parametrize(
    "text",
    [
        "Repeat the previous step for each board.",
        "The last step is to sand the edge.",
        "Include the nails and stir.",
        "Water that is too hot kills yeast.",
        "Part B vitamins help.",
        "Phase 2 trials are long.",
        "The chapter house is divided into three parts.",
    ],
)
def test_what_only_sounds_like_it_stays(text):
    texts = ["# Sawing", "Mark the board.", "Draw a line.", "Take a saw.", f"{text} {PLAIN}"]
    assert chosen(*texts, "", "# Gluing", BELOW, "") == texts


def test_an_excerpt_that_announces_the_whole_document_is_the_whole_document():
    opening = f"This article explains how to saw and glue. {PLAIN}"
    assert chosen("# Sawing", opening, "", "# Gluing", BELOW) == ["# Sawing", opening, "# Gluing", BELOW]
    assert chosen("# Sawing", opening, "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]


@pytest.mark.parametrize(
    "later",
    ["Glue comes in the next chapter.", "Glue is in the following section.", "Glue smells (more on that later)."],
)
def test_what_is_announced_for_later_must_be_there(later):
    texts = ["# Sawing", f"{PLAIN} {later}"]
    assert chosen(*texts, "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]
    assert chosen(*texts, "", "## Gluing", "Glue dries. It does.", "# Sanding", BELOW * 3) == [
        *texts,
        "## Gluing",
        "Glue dries. It does.",
    ]
    assert chosen(*texts, "") == texts


@pytest.mark.parametrize(
    "lost", ["Run this:\n```sh\n```", ".. code-tab:: python\n", "[!code-sh[Main](saw.sh)]", "Replace `` with it."]
)
def test_code_that_the_corpus_has_lost_is_missed(lost):
    assert chosen("# Sawing", PLAIN, lost, "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]


@pytest.mark.parametrize("below, whole", [("where m is the mass.", False), ("$$F = ma$$", True), ("- a force", True)])
def test_a_formula_that_the_corpus_has_lost_is_missed(below, whole):
    texts = ["# Sawing", PLAIN, "The force of the saw is", below, "It is small."]
    assert chosen(*texts, "", "# Gluing", BELOW, "") == (texts if whole else ["# Gluing", BELOW])


CHOICES = ["The blade is hot and bends.", "The blade is hot and breaks.", "Its teeth are all blunt."]


@pytest.mark.parametrize(
    "first, last, whole",
    [
        ([PLAIN], ["The force of the saw is then", "This is small."], False),
        ([PLAIN], ["We write the force as:", "Call it one."], False),
        ([PLAIN], ["We write the force this way,", "where m is the mass."], False),
        ([PLAIN], ["We saw where", "where is the blade?"], False),
        ([PLAIN, "Why is it warm?"], [*CHOICES[:2], "The blade is old and cold."], False),
        ([PLAIN, "Why is it warm?"], CHOICES, True),
        (
            [PLAIN, "How do saws work?"],
            ["The blade is a steel sheet.", "The teeth cut into wood.", "The grip is for hands."],
            True,
        ),
        (["1. Saw", "2. Glue", "3. Sand", "4. Paint", PLAIN], ["It is heavy."], True),
        (["用锯子锯木板。", "把边磨平！", "涂上胶水。", "晾干一天。", PLAIN], ["It is heavy."], True),
        ([PLAIN], ["He completed the bridge project."], True),
        ([PLAIN], ["When you have finished the project, rest."], True),
        ([PLAIN], ["No previously described saw is so sharp."], True),
        (["Let's go back to 1905.", PLAIN], ["It is sharp."], True),
        ([PLAIN, "It is warm."], [*CHOICES[:2], "The blade is old and cold."], True),
        ([PLAIN], ["The image below has a saw."], False),
        ([PLAIN, "The image below has a saw."], ["It is sharp."], True),
        (["Wood", "Weight", "Oak", "0.7", PLAIN], ["It is heavy."], False),
        (["- Wood", "- Glue", "- Oak", "- Nails", PLAIN], ["It is heavy."], True),
        (["As noted, saws are sharp.", PLAIN], ["It is sharp."], False),
        (["Do it as noted here.", PLAIN], ["It is sharp."], True),
        ([PLAIN], ["Be sure to have completed the hammer tutorial."], False),
        ([PLAIN], ["Answer for part (b) too."], False),
        (["Last but not least, we saw.", PLAIN], ["It is sharp."], False),
        (["The formula above is long.", PLAIN], ["It is sharp."], False),
        ([PLAIN], ["Let's go back to the saw."], False),
        (["One final thing is the saw.", PLAIN], ["It is sharp."], False),
        (["As our narrative suggests, saws cut.", PLAIN], ["It is sharp."], False),
        ([PLAIN], ["As detailed before, it is sharp."], False),
        ([PLAIN], ["It is one of the previously described saws."], False),
        ([PLAIN], ["We have thus seen that it is sharp."], False),
        ([PLAIN], ["This chapter covers saws."], False),
        ([PLAIN], ["There are hints within this chapter."], False),
    ],
)
def test_what_is_lost_or_elsewhere_is_missed(first, last, whole):
    texts = ["# Sawing", *first, "", *last]
    assert chosen(*texts, "# Gluing", BELOW, "") == ([t for t in texts if t] if whole else ["# Gluing", BELOW])


def test_captions_of_images_are_no_table():
    texts = tuple(Text(text) for text in ("Fold it", "Turn it over", "Fold its corners", "Open the hat", PLAIN))
    segments = tuple(segment for text in texts for segment in (text, IMAGE))
    assert best_excerpt(Document("d", "s", segments), max_words=60, max_images=9, min_words=10) is not None


@pytest.mark.parametrize(
    "heading, first, found",
    [
        ("# {Step 14}", PLAIN, False),
        ("# Step 1", PLAIN, True),
        ("# Sawing", "shows a saw in the wood. " + PLAIN, False),
        ("# Sawing", "Based on this research, we saw. " + PLAIN, False),
        ("# Sawing", "Shows have a saw in the wood. " + PLAIN, True),
    ],
)
def test_no_excerpt_begins_at_a_later_step_or_a_sentence_without_subject(heading, first, found):
    assert (chosen("# Tools", "Tools are useful. " * 30, heading, first, "") is not None) == found


@pytest.mark.parametrize(
    "last, whole",
    [
        ("Let's briefly go over the saws.", False),
        ("Now we are ready to saw.", False),
        ("The saw has the following parts.", False),
        ("It follows the parts of the board.", True),
    ],
)
def test_what_the_last_sentence_announces_must_come(last, whole):
    texts = ["# Sawing", "", f"{PLAIN} {last}"]
    assert chosen(*texts, "# Gluing", BELOW, "") == ([*texts[:1], *texts[2:]] if whole else ["# Gluing", BELOW])


@pytest.mark.parametrize(
    "first", ["As the story shows, saws cut.", "To test this, saw.", "Saws also cut.", "Just as saws, files cut."]
)
def test_a_section_that_goes_on_from_above_is_not_whole_also_below_an_image(first):
    assert chosen("Text.", "# Sawing", "", f"{first} {PLAIN}", "# Gluing", BELOW, "") == ["# Gluing", BELOW]


def test_one_of_several_tabs_is_not_whole():
    assert chosen("Text.", "# [macOS](#tab/macos)", PLAIN, "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]


def test_a_line_that_only_links_is_a_box():
    assert boxed(tuple(map(Text, ["Saws cut.", "Visit this website to learn about saws.", "Files cut, too."]))) == {1}


def test_a_worked_example_needs_its_solution():
    example = [
        "# Sawing",
        PLAIN,
        "## Strategy",
        "Saw slowly.",
        "## Solution",
        "It took an hour.",
        "## Discussion",
        "Saws cut.",
    ]
    assert chosen(*example, "", "# Gluing", BELOW * 2) == example
    assert chosen(*example[:4], *example[6:], "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]


def test_an_excerpt_does_not_end_with_a_heading_whose_text_is_missing():
    sawing = ["# Sawing", PLAIN, "## Faster"]
    assert chosen(*sawing, "", BELOW * 3, "# Gluing", BELOW, "") == ["# Gluing", BELOW]
    assert chosen(*sawing, "", "# Gluing", BELOW * 3) == sawing


def test_an_excerpt_that_announces_its_section_ends_with_one():
    opening = f"In this section, you will learn to saw. {PLAIN}"
    assert chosen("# Sawing", opening, "", "## Faster", BELOW * 2, "# Gluing", BELOW, "") == ["# Gluing", BELOW]
    assert chosen("# Sawing", opening, "", "# Gluing", BELOW, "") == ["# Sawing", opening]


@pytest.mark.parametrize(
    "last", ["What falls off?", "He said: “Saw slowly.", "Read the following list.", "We will see more of this below."]
)
def test_an_excerpt_does_not_end_with_a_question_a_quotation_or_an_announcement(last):
    assert chosen("# Sawing", f"{PLAIN} {last}", "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]


@pytest.mark.parametrize("heading", ["# Option 2: gluing", "# Task 2", "# Part 4", "# Phase b."])
def test_a_later_part_is_no_beginning(heading):
    assert chosen("Text.", "# Sawing", PLAIN, "", heading, BELOW * 2, "", min_words=30) is None
    found = chosen("Text.", "# Sawing", PLAIN, "", "# Part of it", BELOW * 2, "", min_words=30)
    assert found == ["# Part of it", BELOW * 2]


@pytest.mark.parametrize("video", ["Watch this video on saws.", "The video that follows shows it."])
def test_a_text_that_sends_its_reader_to_a_video_is_not_whole(video):
    assert chosen("# Sawing", f"{PLAIN} {video}", "", "# Gluing", BELOW, "") == ["# Gluing", BELOW]
    assert chosen("# Sawing", f"{PLAIN} Save the video.", "", "# Gluing", BELOW, "")[0] == "# Sawing"


SAWS, HAMMERS = (
    "Saws cut boards, slowly or fast, by hand or by motor.",
    "Hammers hit nails, hard or softly, and never boards.",
)


@pytest.mark.parametrize(
    "title, text, whole",
    [
        ("Saws and hammers", SAWS, False),
        ("Saws and hammers", f"{SAWS} {HAMMERS}", True),
        ("Tools: saws, hammers & nails", SAWS, False),
        ("Looking and learning", SAWS, True),  # neither is named: it is no list of what comes
        ("Tools", f"Use two kinds of tools: saws, and hammers. {SAWS}", False),
        ("Tools", f"Use two kinds of tools: saws, and hammers. {SAWS} {HAMMERS}", True),
        ("Tools", "Use one of two tools: saws, or hammers. Both are sold in any shop, and are cheap.", True),
        ("Tools", f"The first step is to saw. {SAWS}", False),
        ("Tools", f"The first step is to saw. {SAWS} Then hit the nails.", True),
    ],
)
def test_of_what_is_named_nothing_is_left_out(title, text, whole):
    assert chosen("Text.", f"# {title}", text, "", BELOW * 3, BELOW * 3) == ([f"# {title}", text] if whole else None)


@pytest.mark.parametrize(
    "number, whole", [("1. ", True), ("6. ", False), ("## Step 2", False), ("## 1", True), ("20 ", True)]
)
def test_a_section_whose_first_item_is_not_number_one_is_not_whole(number, whole):
    below = [number, PLAIN] if number.startswith("#") else [number + PLAIN]
    assert (chosen(BELOW * 3, "# Sawing", *below, "") is not None) is whole


def test_a_paragraph_about_the_course_is_a_box():
    texts = (
        "# Sawing",
        "This lesson was taught in a series.",
        "Text.",
        "> Sketchnote by Ann.",
        "Hearty thanks to all.",
    )
    assert boxed(tuple(map(Text, texts))) == {1, 3, 4}
