"""Whatever a server sends ends as a whole answer with finite numbers, or as an invalid one that is not kept."""

from __future__ import annotations

import json

import pytest

from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault
from pipeline.llm.responses import MOST_BYTES, clean, message, parse, read
from pipeline.storage.store import Store
from tests.fake_openai import FakeOpenAI
from tests.pipeline.kept import values
from tests.pipeline.llm.test_client import prompt

GOOD = '{"grade": 4}'


def reply(text: object = GOOD, logprobs: object = None, **more: object) -> str:
    """A reply of chat completions; `text` and `logprobs` are put in as they are."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return json.dumps({"choices": [choice | ({"logprobs": {"content": logprobs}} if logprobs else {})]})


def token(logprob: object, text: object = "4", others: object = ()) -> dict:
    return {"token": text, "logprob": logprob, "top_logprobs": list(others)}


MALFORMED = {
    "nothing": "{}",
    "a null": '{"choices": null}',
    "no choice": '{"choices": []}',
    "a text": '{"choices": "x"}',
    "no message": '{"choices": [{"message": null}]}',
    "a number as its text": reply(5),
    "a list as its text": reply([]),
    "a cut body": reply()[:-9],
    "two bodies": reply() + reply(),
    "bytes that are no text": "{\xff\xfe",
    "nested too deep": '{"choices":' + "[" * 60_000,
    "a name twice": reply('{"grade": 4, "grade": 5}'),
    "a reply with a name twice": '{"choices": [], "choices": []}',
    "NaN in the answer": reply('{"grade": NaN}'),
    "an infinity": reply('{"grade": 1e999}'),
    "a number of 5,000 digits": reply('{"grade": ' + "9" * 5_000 + "}"),
    "an unpaired surrogate": reply('{"grade": "\ud800"}'),
    "one escaped in the answer": reply('{"grade": "\\ud800"}'),
    "deep nesting in the answer": reply("[" * 60_000),
    "a NaN log-probability": reply(logprobs=[token("here")]).replace('"here"', "NaN"),
    "an infinite one": reply(logprobs=[token("here")]).replace('"here"', "-Infinity"),
    "one too large for a float": reply(logprobs=[token("here")]).replace('"here"', "-" + "9" * 4_000),
    "a positive one": reply(logprobs=[token(800.0)]),
    "a text for one": reply(logprobs=[token("x")]),
    "none": reply(logprobs=[token(None)]),
    "true": reply(logprobs=[token(True)]),
    "a token that is no text": reply(logprobs=[token(-1.0, 4)]),
    "tokens that are no list": reply(logprobs=7),
    "a token without a number": reply(logprobs=[{"token": "4"}]),
    "alternatives that are no list": reply(logprobs=[{"token": "4", "logprob": -1.0, "top_logprobs": 5}]),
    "an alternative that is a text": reply(logprobs=[token(-1.0, others=["x"])]),
    "more than is read": reply(GOOD + " " * MOST_BYTES),
    "prose": reply("Sure! I would rate this text 4 out of 5."),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_reply_is_asked_again_and_never_kept(tmp_path, body):
    sent = []

    def raw(_):
        sent.append(1)
        return 200, (body.encode("latin-1", "replace") if len(sent) == 1 else reply().encode())

    with (
        FakeOpenAI(raw=raw) as server,
        Client(server.url, "fake", patience=30.0, cache=Store(str(tmp_path))) as client,
    ):
        answer = client.submit(client.ask(prompt("q"), logprobs=2)).result(30)
    assert (answer.text, answer.cached, len(sent)) == (GOOD, False, 2)
    assert [json.loads(data)["text"] for data in values(tmp_path).values()] == [GOOD]


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_server_that_sends_nothing_else_fails_the_question_with_a_short_reason(body):
    with (
        FakeOpenAI(raw=lambda _: (200, body.encode("latin-1", "replace"))) as server,
        Client(server.url, "fake", patience=30.0) as client,
        pytest.raises(LlmFault, match="invalid_answer") as caught,
    ):
        client.submit(client.ask(prompt("q"), logprobs=2)).result(30)
    assert len(server.requests) == 3
    assert len(caught.value.detail) <= 300 and caught.value.detail.isprintable()


@pytest.mark.parametrize(
    "kept",
    [
        '{"text": "{\\"grade\\": 4}", "logprobs": [{"token": "4", "logprob": NaN}]}',
        "[",
        "[]",
        "7",
        '{"text": 5}',
        '{"text": "{\\"grade\\": 9}"}',
        '{"other": 1}',
    ],
)
def test_a_damaged_answer_in_the_cache_is_asked_again(tmp_path, kept):
    store = Store(str(tmp_path))
    with FakeOpenAI(reply=lambda _: GOOD) as server, Client(server.url, "fake", cache=store) as client:
        client.submit(client.ask(prompt("q"))).result(30)
        (key,) = values(tmp_path)
        store.write(key, kept.encode())
        answer = client.submit(client.ask(prompt("q"))).result(30)
    assert (answer.text, answer.cached, len(server.requests)) == (GOOD, False, 2)


@pytest.mark.parametrize(
    "text", ['{"a": 1e999}', "[-1e999]", "NaN", "[Infinity]", r'"\ud800"', '{"a": 1, "a": 1}', "[" * 60_000]
)
def test_what_is_no_strict_json_is_no_value_whatever_the_schema_says(text):
    with pytest.raises(ValueError):
        parse(text)


def test_tokens_that_the_grammar_forbids_are_left_out_however_a_server_says_it():
    others = [token(-0.2), token(-9999.0, "x"), token(None, "y")]
    answer = read(parse(reply(logprobs=[token(-0.2, others=others)])))
    assert answer.logprobs == [{"token": "4", "logprob": -0.2, "top_logprobs": [{"token": "4", "logprob": -0.2}]}]


def test_a_servers_words_reach_no_terminal_as_commands():
    hostile = "\x1b[2J\x07no\u202e such\x00 model\n" + "x" * 10_000_000
    said = message(json.dumps({"error": {"message": hostile}}))
    assert said.startswith("[2J no such model xxx") and len(said) == 300 and said.isprintable()
    assert clean(hostile, 20).isprintable()
    assert message('{"error": {"message": {"not": "a text"}}}') == "{'not': 'a text'}"
    assert message('{"error": null}') == '{"error": null}'
    assert message("[" * 60_000) == "[" * 299 + "…"
