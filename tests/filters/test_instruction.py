"""What counts as an instruction for a document, and each reason to refuse one."""

import pytest

from filters.instruction import about, asks, check, copied_step, gives_away, length
from schemas.records import Document, Drop, Image, Text

BREAD = Document(
    "1",
    "s",
    title="Baking bread",
    segments=(
        Text("## Baking bread"),
        Text(
            "Stir flour, salt, yeast and warm water into a rough dough and knead it for ten minutes. "
            "Let the dough rise under a cloth until it has doubled."
        ),
        Image("a.jpg", alt="A loaf on a rack"),
        Text("Bake the loaf in a hot oven until the bottom sounds hollow when you knock on it."),
    ),
)


@pytest.mark.parametrize(
    "instruction",
    [
        "Explain how to bake bread.",
        "How do I bake a loaf at home?",
        "I want to bake bread. Show me how.",
        "Please show me, with pictures, how to knead dough.",
        "Write an illustrated guide to baking a loaf.",
        "What should I know about dough?",
        "Bake a loaf of bread and show each step.",
        "What's the best flour for bread?",
        "What’s dough made of?",
        "Was bread always baked from dough?",
        "Have you got a guide to baking bread?",
        "Using the pictures, explain how to bake bread.",
        "Step-by-step, explain how to bake bread.",
        "For a beginner, please describe how dough rises.",
        "To bake bread, what do I need?",
        "Elaborate on how dough rises.",
        "Clarify how dough rises.",
    ],
)
def test_instructions_pass(instruction):
    assert check(instruction, BREAD) is None


@pytest.mark.parametrize(
    "instruction, rule",
    [
        ("", "instruction_length"),
        ("Bread dough", "instruction_length"),
        ("Explain how to bake bread " + "and bread " * 20, "instruction_length"),
        ("The dough rises under a cloth.", "instruction_asks"),
        ("Baking bread is easy with warm dough.", "instruction_asks"),
        ("Dough and bread: is it done?", "instruction_asks"),
        ("Explain how to bake [bread].", "instruction_placeholder"),
        ("Describe what the text above says about bread.", "instruction_placeholder"),
        ("Write one sentence that asks for it and names its subject.", "instruction_placeholder"),
        ("Explain how to install a web server.", "instruction_about"),
        ("Show me step by step how to do it, with pictures.", "instruction_about"),
        ("Bake the loaf in a hot oven until the bottom sounds hollow.", "instruction_copied"),
        ("Explain how to let the dough rise under a cloth until doubled.", "instruction_copied"),
        (
            "How do I make bread, do I stir flour, salt, yeast and warm water into a rough dough and then wait?",
            "instruction_gives_away",
        ),
    ],
)
def test_others_are_refused_with_the_reason(instruction, rule):
    assert check(instruction, BREAD).rule == rule


@pytest.mark.parametrize(
    "text",
    [
        "Have patience with the dough.",
        "Was baked in a hot oven.",
        "It's bread that has risen?",
        "Don't knead the dough.",
        "After ten minutes, bake the dough.",
        "In the oven, the dough rises.",
        "In the oven, is where it rises.",
        "Baking bread?",
    ],
)
def test_a_sentence_is_no_request_because_its_words_may_begin_one(text):
    assert asks(text).rule == "instruction_asks"


def test_a_drop_says_what_was_measured():
    drop = check("Explain how to bake cakes and install servers.", BREAD)
    assert (drop.rule, drop.value, drop.threshold) == ("instruction_about", 0.25, 0.5)


def test_a_heading_is_no_step_so_the_title_may_be_asked_for():
    wheel = Document(
        "2",
        "s",
        (
            Text("# Building the water wheel of a small mill step by step"),
            Text("The wheel turns on an axle of oak. Buckets along its rim catch the water and pull it down."),
        ),
    )
    assert check("Explain building the water wheel of a small mill step by step.", wheel) is None


def test_a_document_without_sentences_can_be_asked_about():
    picture = Document("3", "s", (Image("a.jpg", alt="A red kite above a field"),))
    assert check("Tell me about kites and show one in a field.", picture) is None


def test_words_of_the_prompt_are_free_where_they_are_the_subject():
    page = Document(
        "4", "s", (Text("Select the text, choose the images, and enter the domain name of the topic list."),)
    )
    for instruction in (
        "Explain the domain name of a topic list.",
        "How do I select the text?",
        "Show me how to choose the images.",
    ):
        assert check(instruction, page) is None


def page(*texts: str) -> Document:
    return Document("5", "s", tuple(map(Text, texts)))


@pytest.mark.parametrize(
    "count, drop",
    [
        (2, Drop("instruction_length", 2.0, 3.0)),
        (3, None),
        (40, None),
        (41, Drop("instruction_length", 41.0, 40.0)),
    ],
)
def test_an_instruction_has_3_to_40_words(count, drop):
    assert length("word " * count) == drop


def test_a_sentence_of_five_words_is_a_step_and_one_of_four_is_a_name():
    five = "Knead the dough ten minutes."
    assert copied_step(five, page(five)) == Drop("instruction_copied", 1.0, 0.8)
    four = "Knead the soft dough."
    assert copied_step(four, page(four)) is None


def test_eight_words_of_the_text_may_be_said_and_nine_give_it_away():
    text = page("First stir the flour and the salt into the warm water.")
    assert gives_away("How do I stir the flour and the salt into the oven?", text) is None
    assert gives_away("How do I stir the flour and the salt into the warm oven?", text) == Drop(
        "instruction_gives_away", 9.0, 8.0
    )


def test_words_that_are_frequent_in_a_long_text_count_like_others():
    """difflib would take no notice of words that make up more than 1 % of 200 or more."""
    often = "turn the left screw and then the right nut "
    assert gives_away(f"Explain why to {often}", page(often * 30)) == Drop("instruction_gives_away", 9.0, 8.0)
    assert copied_step(f"Now {often * 30}", page(often * 30)) == Drop("instruction_copied", 0.998152, 0.8)


def test_words_are_the_same_subject_if_their_first_five_letters_are():
    assert about("Explain planting.", page("The plants grow.")) is None
    assert about("Explain plans.", page("The plants grow.")) == Drop("instruction_about", 0.0, 0.5)
