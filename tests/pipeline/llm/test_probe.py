"""The first question to a server: those that cannot do the work say so at once, in their own words."""

from __future__ import annotations

import json
import time

import pytest

import prompts
from pipeline.llm.probe import check_server, probe
from pipeline.llm.server import free_port
from schemas.errors import ServiceError, UserError
from tests.fake_openai import FakeOpenAI, smallest

PROMPTS = prompts.load("embedded")


def refused(server: FakeOpenAI, seconds: float = 5.0, key: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        probe(server.url, "fake", PROMPTS, key, seconds)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700
    return str(caught.value)


def test_a_server_that_can_do_it_is_asked_once(capsys):
    with FakeOpenAI() as server:
        probe(server.url, "fake", PROMPTS)
        assert len(server.requests) == 1 and server.requests[0]["response_format"]["type"] == "json_schema"
    assert capsys.readouterr().err == ""


def test_one_that_reports_no_log_probabilities_is_taken_with_a_word(capsys):
    def without(body):
        text = json.dumps(smallest(body["response_format"]["json_schema"]["schema"]))
        return 200, json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()

    with FakeOpenAI(raw=without) as server:
        probe(server.url, "fake", PROMPTS)
    assert "reports no log-probabilities: ratings will be whole numbers" in capsys.readouterr().err


@pytest.mark.parametrize("status", [400, 500, 501])
def test_one_that_knows_no_schemas(status):
    """As llama-cpp-python's server, which answers 500."""
    said = {"error": {"message": "json_schema\x1b[31m is not\na known response format", "type": "x"}}
    with FakeOpenAI(raw=lambda _: (status, json.dumps(said).encode())) as server:
        started = time.monotonic()
        sentence = refused(server)
        assert time.monotonic() - started < 15
        assert len(server.requests) <= 6
    assert (
        f"cannot answer a question by JSON schema ({status}: json_schema [31m is not a known response format)"
        in sentence
    )
    assert "give the address of one that knows response_format json_schema" in sentence


@pytest.mark.parametrize("status", [429, 503])
def test_one_that_is_busy_is_to_be_asked_later(status):
    said = json.dumps({"error": {"message": "slow down"}}).encode()
    with FakeOpenAI(raw=lambda _: (status, said)) as server, pytest.raises(ServiceError) as caught:
        probe(server.url, "fake", PROMPTS, None, 1.0)
    assert f"is busy or not ready yet ({status}: slow down); run the same command again" in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_one_that_wants_another_key_says_where_it_belongs(status):
    with FakeOpenAI(raw=lambda _: (status, b"{}")) as server:
        assert "set the right one in LEAFINSTRUCT_LLM_KEY or in the file that llm.key_file names" in refused(server)


def test_one_that_passes_over_the_schema():
    with FakeOpenAI(reply=lambda _: "Sure! Here is my rating:\nfluency 5") as server:
        sentence = refused(server)
    assert "does not keep to the JSON schema" in sentence and "Sure! Here is my rating: fluency 5" in sentence


def test_one_without_the_model():
    said = {"error": {"message": "The model `fake` does not exist."}}
    with FakeOpenAI(raw=lambda _: (404, json.dumps(said).encode())) as server:
        assert "takes no questions for 'fake' (404: The model `fake` does not exist.)" in refused(server)


def test_one_that_does_not_answer():
    with FakeOpenAI(slow=60) as server:
        started = time.monotonic()
        assert "does not answer a question (no answer within 0.5 s)" in refused(server, seconds=0.5)
        assert time.monotonic() - started < 30  # of the 60


def test_one_that_is_not_there():
    server = FakeOpenAI(port=free_port())  # never started
    assert "does not answer a question" in refused(server, seconds=1.0)


@pytest.mark.parametrize(
    "ask",
    [lambda url: check_server(f"{url}/moved", "fake", "secret"), lambda url: probe(url, "fake", PROMPTS, "secret")],
)
def test_the_key_goes_to_no_other_address(ask):
    with FakeOpenAI() as other:

        def redirect(_):
            return 307, b"{}"

        with FakeOpenAI(raw=redirect, elsewhere=f"{other.url}/models") as server, pytest.raises(UserError) as caught:
            ask(server.url)
        assert other.heads == []
    assert "secret" not in str(caught.value)
    assert any("secret" in head for head in server.heads)  # where it belongs


@pytest.mark.parametrize("address", ["http://someone:secret@127.0.0.1:9/v1", "http://127.0.0.1:9/v1?key=secret"])
def test_an_address_with_a_secret_is_refused_because_it_is_published(address):
    with pytest.raises(UserError, match="http://127.0.0.1:9/v1 must be without a user name") as caught:
        check_server(address, "fake")
    assert "secret" not in str(caught.value)


def test_a_key_in_an_address_that_is_none_is_not_shown():
    with pytest.raises(UserError) as caught:
        check_server("ftp://someone:secret@host/v1", "fake")
    assert "secret" not in str(caught.value)
