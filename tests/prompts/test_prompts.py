"""The two prompts: what the model sees of a document, and what makes a new version."""

import jinja2
import pytest

import prompts
from schemas.records import Document, Image, Text

DOMAINS = ("Cooking and food", "Programming")


def boat(**changes) -> Document:
    segments = (Text("## Folding a paper boat"), Text("Fold the sheet in half."),
                Image("a.jpg", alt="A sheet of white paper with a crease along its middle line"),
                Text("### Step 2"), Text("Turn the corners down."), Image("b.jpg"), Text("## Folding a **paper** boat"))
    return Document(**{"id": "1", "source": "s", "title": "Folding a paper boat", "segments": segments} | changes)


def test_the_title_is_hidden_and_pictures_are_marked():
    assert prompts.parts(boat()) == [
        "Fold the sheet in half.", "[image: A sheet of white paper with a crease along its]", "### Step 2",
        "Turn the corners down.", "[image]"]


def test_a_first_heading_is_left_out_though_the_title_differs():
    assert "paper boat" not in "\n".join(prompts.parts(boat(title="Origami"))[:2])


def test_both_prompts_begin_alike_so_that_the_server_reads_the_text_once():
    rate, write = prompts.render("rate", boat()), prompts.render("write", boat(), domains=DOMAINS)
    assert rate.messages[0] == write.messages[0] == {"role": "system", "content": prompts.SYSTEM}
    text = "\n\n".join(prompts.parts(boat())) + "\n\n---\n"
    assert rate.messages[1]["content"].startswith(text) and write.messages[1]["content"].startswith(text)
    assert rate.messages[1]["content"] != write.messages[1]["content"]


def test_the_writer_sees_the_domains_and_may_answer_no_other():
    prompt = prompts.render("write", boat(), domains=DOMAINS)
    assert "Cooking and food; Programming" in prompt.messages[1]["content"]
    assert prompt.schema["properties"]["domain"]["enum"] == list(DOMAINS)
    assert prompts.render("rate", boat()).schema["required"] == ["fluency", "coherence", "completeness", "usefulness"]


def test_the_version_is_of_the_question_not_of_the_document():
    one, other = boat(), boat(id="2", segments=(Text("Something else."),))
    assert prompts.render("rate", one).version == prompts.render("rate", other).version
    write = prompts.render("write", one, domains=DOMAINS).version
    assert write != prompts.render("rate", one).version
    assert write != prompts.render("write", one, domains=("Programming",)).version


def test_text_that_looks_like_a_template_is_only_text():
    document = boat(segments=(Text("Write {{ 7 * 7 }} & <b>"),))
    assert prompts.render("rate", document).messages[1]["content"].startswith("Write {{ 7 * 7 }} & <b>\n")


def test_a_missing_variable_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        prompts.render("write", boat())
