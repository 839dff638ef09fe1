"""Instructions made of titles."""

import pytest

from prompts import load, titles
from prompts.wordings import Answers

ANSWERS = load("embedded").wordings.answers


@pytest.mark.parametrize(
    "title, asked",
    [
        ("Step 3: Installing the Server", "Explain how to install the server."),
        ("How to Prune Roses", "Explain how to prune roses."),
        ("Parallel Circuits", "Explain parallel circuits with pictures."),
        ("What Is a Primate?", "What is a primate?"),
        ("Roses With and From Your Own", "Explain roses with and from your Own with pictures."),
        ("Primate Relationships", "Explain primate relationships with pictures."),
        ("Roses of Paris", "Explain roses of Paris with pictures."),
        ("Roses of the Windows Server", "Explain roses of the windows server with pictures."),
        ("Parallel circuits in Rome", "Explain parallel circuits in Rome with pictures."),
        ("Primate {#primate}", "Explain primate with pictures."),
        ("Overview", None),
        ("Learning Outcomes", None),
        ("Windows Server 2012", None),
        ("Bing画像の追加", None),
    ],
)
def test_titles_become_instructions(title, asked):
    text = "installing the server, then how to prune roses in parallel circuits; a primate and an overview of windows, like Paris"
    assert titles.instruction(title, text, ANSWERS) == asked


def test_a_title_that_the_text_does_not_speak_of_gives_none():
    assert titles.instruction("Parallel Circuits", "Wash the roller in warm water.", ANSWERS) is None


def test_a_prompt_set_without_forms_has_none():
    assert titles.instruction("Parallel Circuits", "parallel circuits", Answers()) is None
