"""Rating and writing, against a loopback server with answers of ours."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from pipeline.graph.asking import ask_each
from pipeline.llm import questions
from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault
from pipeline.storage.store import Store
from prompts import load as load_prompts
from prompts.wordings import Wording
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
    title="Overview",  # names no subject
)
PROMPTS = load_prompts("embedded")
DOMAINS = ("crafts", "cooking")
HOW = [Wording("how_to", do="How do I {}?", about="What is {}?")]
GOOD = "Explain how to fold a boat from a sheet of paper."


def run(question, reply, folder=None):
    """What `question(client)` came to, and the requests that the server got."""
    with FakeOpenAI(reply=reply) as server:
        with Client(server.url, "fake", cache=folder and Store(str(folder))) as client:
            return client.submit(question(client)).result(30), server.requests


def written(*instructions):
    """A reply function: the instructions in turn."""
    answers = iter(instructions)
    return lambda body: json.dumps({"instruction": next(answers), "domain": "crafts"})


def always_good(body):
    return json.dumps({"instruction": GOOD, "domain": "crafts"})


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


def test_each_candidate_has_a_seed_of_its_own():
    def question(client):
        return questions.write(client, PROMPTS, DOCUMENT, DOMAINS, candidates=3)

    got, requests = run(question, always_good)
    assert got == GeneratedInstruction(GOOD, "crafts", 1)  # the first of equals
    assert [r["temperature"] for r in requests] == [0.5] * 3
    seeds = {r["seed"] for r in requests}
    assert len(seeds) == 3 and all(0 <= seed < 2**31 for seed in seeds)
    _, again = run(question, always_good)
    assert {r["seed"] for r in again} == seeds
    _, other = run(
        lambda c: questions.write(c, PROMPTS, dataclasses.replace(DOCUMENT, segments=DOCUMENT.segments[:1]), DOMAINS),
        written(GOOD),
    )
    assert other[0]["seed"] not in seeds


def by_seed(*instructions):
    """A reply function: the instruction of each candidate, whichever question comes first."""
    prompt = PROMPTS.write_prompt(DOCUMENT, DOMAINS)
    seeds = {}

    async def learn(client):
        for number in range(1, len(instructions) + 1):
            await questions.instruct(client, prompt, number)

    run(learn, lambda body: seeds.setdefault(body["seed"], json.dumps({"instruction": "x", "domain": "crafts"})))
    texts = dict(zip(seeds, instructions, strict=True))
    return lambda body: (
        texts[body["seed"]]
        if texts[body["seed"]].startswith("!")
        else json.dumps({"instruction": texts[body["seed"]], "domain": "crafts"})
    )


def write(client, wordings=(), candidates=3, prompts=PROMPTS):
    return questions.write(client, prompts, DOCUMENT, DOMAINS, wordings, candidates)


def test_the_candidate_that_tells_the_document_from_others_is_taken():
    got, _ = run(write, by_seed("Explain how to fold the corners.", f" {GOOD} ", "Explain the long side."))
    assert got == GeneratedInstruction(GOOD, "crafts", 2)


def test_a_candidate_that_fails_the_checks_is_not_taken():
    got, _ = run(
        write, by_seed("Paper boat pocket crease", "Explain the paper.", "Explain [paper boat pocket crease].")
    )
    assert got == GeneratedInstruction("Explain the paper.", "crafts", 2)


def test_a_title_that_names_a_subject_is_asked_for():
    titled = dataclasses.replace(DOCUMENT, title="2. Folding a paper boat")
    wordings = (Wording("question", do="How would you {}?"),)
    made = questions.write
    got, requests = run(
        lambda c: made(c, PROMPTS, titled, DOMAINS, wordings, 2), by_seed("Explain the paper.", "Explain the sheet.")
    )
    assert got == GeneratedInstruction("How would you fold a paper boat?", "crafts", 0)
    assert len(requests) == 1
    terse = dataclasses.replace(titled, title="The paper")
    got, _ = run(lambda c: made(c, PROMPTS, terse, DOMAINS, wordings, 1), by_seed(GOOD))
    assert got.attempts == 1
    poor = dataclasses.replace(titled, title="Pocket and corners" + " of a long and flat half side" * 3)
    got, requests = run(lambda c: made(c, PROMPTS, poor, DOMAINS, wordings, 2), by_seed(GOOD, "Explain the paper."))
    assert (got.attempts, len(requests)) == (1, 2)  # a title that is none for a request
    for title, asked in (
        ("Paper boats: how to open the pocket", "How would you open the pocket? I am reading about paper boats."),
        ("Project: open the pocket", "How would you open the pocket?"),
        ("The paper boat: a story", "Explain the paper boat with pictures."),
    ):
        halves = dataclasses.replace(titled, title=title)
        got, _ = run(lambda c, halves=halves: made(c, PROMPTS, halves, DOMAINS, wordings, 1), by_seed(GOOD))
        assert (
            got.instruction.partition(" I ")[0].partition(" The ")[0].partition(" This ")[0]
            == asked.partition(" I ")[0]
        )
        assert ("paper boats" in got.instruction) == ("paper boats" in asked)
    plain = load_prompts("instruct")
    got, _ = run(lambda c: made(c, plain, titled, DOMAINS, (), 1), written("Explain the paper."))
    assert got.attempts == 1  # no frames, so nothing to put a title into
    with pytest.raises(LlmFault, match="invalid_answer"):
        run(lambda c: made(c, PROMPTS, titled, DOMAINS, wordings, 1), lambda body: "no JSON")


def test_an_excerpt_s_instruction_names_the_subject_of_the_whole():
    part = dataclasses.replace(DOCUMENT, title="Open the Pocket", part_of="Introduction to Paper Ships")
    asked = questions.with_topic(PROMPTS, part, "How do I open the pocket?", HOW)
    assert asked in {f"How do I open the pocket? {s.format('paper ships')}" for s in PROMPTS.wordings.wholes}
    got, _ = run(lambda c: questions.write(c, PROMPTS, part, DOMAINS, HOW, 1), always_good)
    assert got.attempts == 0 and got.instruction.startswith("How do I open the pocket? ")
    assert got.instruction.endswith("paper ships.")
    long = f"How do I open the pocket{' of a boat' * 12}?"
    assert questions.with_topic(PROMPTS, part, long, HOW) == long
    named = "How do I open the pocket of paper ships?"
    assert questions.with_topic(PROMPTS, part, named, HOW) == named
    for same in (DOCUMENT, dataclasses.replace(part, part_of="Overview")):
        assert questions.with_topic(PROMPTS, same, GOOD, HOW) == GOOD
    assert questions.with_topic(PROMPTS, part, GOOD, [Wording("continuation", do="Go on to {}.")]) == GOOD


def test_the_best_candidate_is_worded_as_the_document_asks_for():
    wordings = (Wording("question", do="How would you {}?"),)
    got, _ = run(lambda c: write(c, wordings), by_seed(GOOD, "Explain the paper.", "Paper."))
    assert got == GeneratedInstruction("How would you fold a boat from a sheet of paper?", "crafts", 1)


def test_the_sentence_of_a_wording_is_in_the_question():
    got, requests = run(
        lambda c: write(c, (Wording("question", ask="Word it as a question."),), 1, load_prompts("instruct")),
        written("Explain how to fold a paper boat."),
    )
    assert got.instruction == "Explain how to fold a paper boat."
    assert "Word it as a question." in requests[0]["messages"][1]["content"]


def test_after_failures_alone_the_document_is_dropped_and_a_second_run_asks_nothing(tmp_path):
    got, requests = run(write, by_seed("Paper.", "Paper.", "Boat."), tmp_path)
    assert got == Drop("instruction_length", 1, 3)
    assert len(requests) == 3
    assert run(write, written(), tmp_path) == (got, [])


def test_an_invalid_answer_leaves_the_other_candidates():
    def reply(body):
        return "no JSON" if body["seed"] % 1000 == first % 1000 else always_good(body)

    seeds = []
    run(lambda c: write(c, candidates=1), lambda body: seeds.append(body["seed"]) or always_good(body))
    (first,) = seeds
    got, requests = run(write, reply)
    assert got == GeneratedInstruction(GOOD, "crafts", 2) and len(requests) == 5
    with pytest.raises(LlmFault, match="invalid_answer"):
        run(write, lambda body: "no JSON")


@pytest.mark.parametrize(
    "fault", [LlmFault("timeout", "-"), LlmFault("server_error", "-"), ServiceError("away"), AttributeError("a bug")]
)
def test_what_is_no_candidates_own_fault_does_not_decide_which_is_taken(monkeypatch, fault):
    """Another run would take another."""

    async def instruct(client, prompt, number):
        if number == 2:
            raise fault
        return {"instruction": GOOD, "domain": "crafts"}

    monkeypatch.setattr(questions, "instruct", instruct)
    with pytest.raises(type(fault)):
        asyncio.run(write(None))


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
        client = Client(server.url, "fake", timeout=1.0, patience=1.5)
        step = ask_each([client], lambda client, document: questions.rate(client, PROMPTS, document))
        try:
            error = step(Document("d", "test", (Text(trouble),))).exception(30)
            assert isinstance(error, UserError | ServiceError) is ends_the_run
            assert not ends_the_run or client.url in str(error)
        finally:
            step.close()


def test_a_proxy_without_a_server_ends_the_run_in_one_line():
    with FakeOpenAI() as server:
        client = Client(server.url, "fake", patience=0.5)
        step = ask_each([client], lambda client, document: questions.rate(client, PROMPTS, document))
        error = step(Document("d", "test", (Text("!502"),))).exception(30)
        step.close()
    assert str(error) == (
        f"the model server at {server.url} stopped answering (502: told to answer 502); check it and "
        "run the same command again: what was finished is kept"
    )
