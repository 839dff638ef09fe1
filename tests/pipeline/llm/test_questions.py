"""Rating and writing, against a loopback server with answers of ours."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline.graph.asking import ask_each
from pipeline.llm import questions
from pipeline.llm.client import Client, LlmFault
from pipeline.storage.store import Store
from prompts import load as load_prompts
from schemas.errors import ServiceError, UserError
from schemas.records import Document, Drop, GeneratedInstruction, Image, Text
from tests.fake_openai import FakeOpenAI

DOCUMENT = Document(
    "d",
    "test",
    (
        Text("Fold the paper in half along its long side and press the crease flat."),
        Image("a.jpg", alt="a folded sheet"),
        Text("Open the pocket of the boat and pull the two corners apart until it stands."),
    ),
    title="A paper boat",
)
PROMPTS = load_prompts("embedded")
DOMAINS = ("crafts", "cooking")
GOOD = "Explain how to fold a boat from a sheet of paper."


def run(question, reply, folder=None):
    """What `question(client)` came to, and the requests that the server got."""
    with FakeOpenAI(reply=reply) as server:
        with Client(server.url, "fake", cache=folder and Store(str(folder), ".json")) as client:
            return client.submit(question(client)).result(30), server.requests


def written(*instructions):
    """A reply function: the instructions in turn."""
    answers = iter(instructions)
    return lambda body: json.dumps({"instruction": next(answers), "domain": "crafts"})


def test_ratings_are_read_from_the_answer():
    grades = {"fluency": 5, "coherence": 4, "completeness": 3, "usefulness": 2}
    got, (request,) = run(lambda c: questions.rate(c, PROMPTS, DOCUMENT), lambda body: json.dumps(grades))
    assert got == {"fluency": 5, "text_coherence": 4, "completeness": 3, "usefulness": 2}
    assert (request["temperature"], request["top_logprobs"]) == (0.0, 10)


def test_a_grade_out_of_range_is_an_invalid_answer():
    with pytest.raises(LlmFault, match="invalid_answer"):
        run(
            lambda c: questions.rate(c, PROMPTS, DOCUMENT),
            lambda body: '{"fluency":9,"coherence":4,"completeness":3,"usefulness":2}',
        )


def test_a_good_instruction_is_taken_at_once():
    got, requests = run(lambda c: questions.write(c, PROMPTS, DOCUMENT, DOMAINS), written(f" {GOOD} "))
    assert got == GeneratedInstruction(GOOD, "crafts", 1)
    assert len(requests) == 1


def test_an_instruction_that_fails_is_asked_again_with_other_seeds():
    got, requests = run(
        lambda c: questions.write(c, PROMPTS, DOCUMENT, DOMAINS), written("Paper.", "Explain ...", GOOD)
    )
    assert got == GeneratedInstruction(GOOD, "crafts", 3)
    assert [r["temperature"] for r in requests] == [0.5] * 3
    seeds = [r["seed"] for r in requests]
    assert len(set(seeds)) == 3 and all(0 <= seed < 2**31 for seed in seeds)
    _, again = run(lambda c: questions.write(c, PROMPTS, DOCUMENT, DOMAINS), written("Paper.", "Explain ...", GOOD))
    assert [r["seed"] for r in again] == seeds
    _, other = run(
        lambda c: questions.write(c, PROMPTS, dataclasses.replace(DOCUMENT, segments=DOCUMENT.segments[:1]), DOMAINS),
        written(GOOD),
    )
    assert other[0]["seed"] not in seeds


def test_after_the_third_failure_the_document_is_dropped_and_a_second_run_asks_nothing(tmp_path):
    def question(client):
        return questions.write(client, PROMPTS, DOCUMENT, DOMAINS)

    got, requests = run(question, written("Paper.", "Paper.", "Boat."), tmp_path)
    assert got == Drop("instruction_length", 1, 3)
    assert len(requests) == 3
    assert run(question, written(), tmp_path) == (got, [])


@pytest.mark.parametrize(
    "trouble, ends_the_run",
    [
        ("!400", False),
        ("!500", False),
        ("!hang", False),
        ("!garbage", False),
        ("!401", True),
        ("!404", True),
        ("!429", True),
        ("!502", True),
        ("!503", True),
        ("!504", True),
        ("!drop", True),
    ],
)
def test_what_is_wrong_with_the_server_ends_the_run_and_not_each_document(trouble, ends_the_run):
    with FakeOpenAI() as server:
        client = Client(server.url, "fake", timeout=0.3, patience=0.5)
        step = ask_each(client, lambda document: questions.rate(client, PROMPTS, document))
        try:
            error = step(Document("d", "test", (Text(trouble),))).exception(30)
            assert isinstance(error, UserError | ServiceError) is ends_the_run
            assert not ends_the_run or client.url in str(error)
        finally:
            step.close()


def test_a_proxy_without_a_server_ends_the_run_in_one_line():
    with FakeOpenAI() as server:
        client = Client(server.url, "fake", patience=0.5)
        step = ask_each(client, lambda document: questions.rate(client, PROMPTS, document))
        error = step(Document("d", "test", (Text("!502"),))).exception(30)
        step.close()
    assert str(error) == (
        f"the model server at {server.url} stopped answering (502: told to answer 502); check it and "
        "run the same command again: what was finished is kept"
    )
