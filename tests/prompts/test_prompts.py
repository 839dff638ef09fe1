"""The two prompts: what the model sees of a document, and what makes a new version."""

import dataclasses
import shutil

import pytest

import prompts
from schemas.errors import UserError
from schemas.records import Document, Image, Text

SET = prompts.load("embedded")
DOMAINS = ("Cooking and food", "Programming")


def shown(document: Document) -> list[str]:
    return prompts.shown_segments(document, SET.alt_words)


def boat(**changes) -> Document:
    segments = (
        Text("## Folding a paper boat"),
        Text("Fold the sheet in half."),
        Image("a.jpg", alt="A sheet of white paper with a crease along its middle line"),
        Text("### Step 2"),
        Text("Turn the corners down."),
        Image("b.jpg"),
        Text("## Folding a **paper** boat"),
    )
    return Document(**{"id": "1", "source": "s", "title": "Folding a paper boat", "segments": segments} | changes)


def test_the_title_is_hidden_and_pictures_are_marked():
    assert shown(boat()) == [
        "Fold the sheet in half.",
        "[image: A sheet of white paper with a crease along its]",
        "### Step 2",
        "Turn the corners down.",
        "[image]",
    ]


def test_a_first_heading_is_left_out_though_the_title_differs():
    assert "paper boat" not in "\n".join(shown(boat(title="Origami"))[:2])


def test_both_prompts_begin_alike_so_that_the_server_reads_the_text_once():
    rate, write = SET.rate_prompt(boat()), SET.write_prompt(boat(), DOMAINS)
    assert rate.messages[0] == write.messages[0] == {"role": "system", "content": SET.system}
    text = "\n\n".join(shown(boat())) + "\n\n---\n"
    assert rate.messages[1]["content"].startswith(text) and write.messages[1]["content"].startswith(text)
    assert rate.messages[1]["content"] != write.messages[1]["content"]


def test_the_writer_sees_the_domains_and_may_answer_no_other():
    prompt = SET.write_prompt(boat(), DOMAINS)
    assert "Cooking and food; Programming" in prompt.messages[1]["content"]
    assert prompt.schema["properties"]["domain"]["enum"] == list(DOMAINS)
    assert SET.rate_prompt(boat()).schema["required"] == ["fluency", "coherence", "completeness", "usefulness"]


def test_the_version_is_of_the_question_and_what_is_asked_for():
    assert SET.rate_version() != SET.write_version(DOMAINS) != SET.write_version(("Programming",))
    for change in ({"system": "x"}, {"rate": "x"}, {"alt_words": 3}, {"aspects": SET.aspects[:2]}):
        assert dataclasses.replace(SET, **change).rate_version() != SET.rate_version()
    assert dataclasses.replace(SET, write="x").rate_version() == SET.rate_version()


def test_text_that_looks_like_a_template_is_only_text():
    document = boat(segments=(Text("Write {{ 7 * 7 }} & <b>"),))
    assert SET.rate_prompt(document).messages[1]["content"].startswith("Write {{ 7 * 7 }} & <b>\n")


def test_the_embedded_question_is_the_one_that_the_model_was_trained_on():
    question = SET.rate_prompt(boat()).messages[1]["content"].rpartition("---\n")[2]
    assert question == (
        "Rate the text above from 1 (bad) to 5 (good). Fluency: whole, grammatical sentences. Coherence: sentences in a "
        "sensible order. Completeness: does not break off. Usefulness: teaches something, free of adverts, menus and "
        "notices."
    )


def own_set(folder, **files) -> str:
    """A copy of the embedded set with other files in it."""
    shutil.copytree(prompts.FOLDER / "embedded", folder / "own")
    for name, text in files.items():
        (folder / "own" / name.replace("__", "/").replace("_y", ".y").replace("_j", ".j")).write_text(text)
    return f"{folder}/own"


def test_a_new_aspect_is_declared_in_one_file(tmp_path):
    aspects = (prompts.FOLDER / "embedded/rate/aspects.yaml").read_text()
    own = prompts.load(
        own_set(tmp_path, rate__aspects_yaml=aspects + "- {name: safety, key: safety, question: harms nobody}\n")
    )
    prompt = own.rate_prompt(boat())
    assert prompt.schema["required"][-1] == "safety" and prompt.messages[1]["content"].endswith("Safety: harms nobody.")
    assert own.aspect_names[-1] == "safety"


@pytest.mark.parametrize(
    "files, message",
    [
        ({"rate__question_jinja": "{{ nothing }}"}, "rate/question.jinja: 'nothing' is undefined"),
        ({"write__question_jinja": "{% for %}"}, "write/question.jinja"),
        ({"prompts_yaml": "about: x\nsystem: y\nalt_word: 3"}, "did you mean alt_words"),
        ({"rate__aspects_yaml": "[]"}, "at least one aspect"),
        ({"rate__aspects_yaml": "- {name: A b, key: a, question: q}"}, "is not a name for an aspect"),
        (
            {"rate__aspects_yaml": "- {name: a, key: a, question: q}\n- {name: a, key: b, question: q}"},
            "same name or key",
        ),
    ],
)
def test_a_faulty_set_is_refused(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        prompts.load(own_set(tmp_path, **files))


def test_an_unknown_set_names_the_known_ones():
    with pytest.raises(UserError, match="embedded"):
        prompts.load("nowhere")
