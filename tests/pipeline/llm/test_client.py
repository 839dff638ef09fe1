"""The client against a server that fails on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import pickle
import threading
import time

import pytest
from aiohttp import web

from pipeline.graph.window import Window
from pipeline.llm.address import base_url
from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault
from pipeline.llm.probe import check_server
from pipeline.llm.server import free_port
from pipeline.llm.slots import PAUSE, Slots
from pipeline.storage.store import Store
from prompts import Prompt
from schemas.errors import ServiceError, UserError
from tests.fake_openai import FakeOpenAI
from tests.pipeline.kept import values
from tests.pipeline.web import no_web_server

SCHEMA = {
    "type": "object",
    "properties": {"grade": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["grade"],
    "additionalProperties": False,
}


def prompt(text: str) -> Prompt:
    return Prompt(({"role": "system", "content": "Be brief."}, {"role": "user", "content": text}), SCHEMA)


def ask(client: Client, text: str, **parameters):
    return client.submit(client.ask(prompt(text), **parameters)).result(30)


def fault(client: Client, text: str, **parameters) -> LlmFault:
    with pytest.raises(LlmFault) as caught:
        ask(client, text, **parameters)
    return caught.value


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, "fake", timeout=1.0, patience=20) as client:
        yield client


@pytest.fixture
def hasty(server):
    with Client(server.url, "fake", timeout=1.5, patience=3.0) as client:
        yield client


def test_the_question_carries_schema_seed_and_logprobs(server, client):
    answer = ask(client, "hello", temperature=0.2, seed=7, max_tokens=33, logprobs=5)
    assert json.loads(answer.text) == {"grade": 1}
    assert answer.logprobs[0] == {"token": "{", "logprob": -0.5, "top_logprobs": [{"token": "{", "logprob": -0.5}]}
    body = server.requests[0]
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("fake", 0.2, 7, 33)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["top_logprobs"] == 5
    assert body["messages"][1]["content"] == "hello"


def test_tokens_that_the_schema_forbids_are_left_out():
    from pipeline.llm.responses import _token

    token = {
        "token": "3",
        "logprob": -0.123456,
        "bytes": [51],
        "top_logprobs": [
            {"token": "3", "logprob": -0.123456, "bytes": [51]},
            {"token": "x", "logprob": -9999.0, "bytes": [120]},
        ],
    }
    assert _token(token) == {"token": "3", "logprob": -0.1235, "top_logprobs": [{"token": "3", "logprob": -0.1235}]}


@pytest.mark.parametrize("trouble", ["!429*2", "!500*2", "!503*1", "!drop*2", "!hang*1"])
def test_a_passing_trouble_is_waited_out(server, client, trouble):
    assert json.loads(ask(client, trouble).text) == {"grade": 1}
    assert len(server.requests) == int(trouble[-1]) + 1


@pytest.mark.parametrize("said, waited", [("7", 7.0), ("3600", 15.0)])  # a quarter of the patience at most
def test_a_server_that_says_when_to_come_back_is_left_alone_until_then(monkeypatch, said, waited):
    pauses, sleep = [], asyncio.sleep

    async def noted(seconds):
        pauses.append(seconds)
        await sleep(0)

    with FakeOpenAI(retry_after=said) as server, Client(server.url, "fake", patience=60.0) as client:
        monkeypatch.setattr("pipeline.llm.client.asyncio.sleep", noted)
        assert json.loads(ask(client, "!429*2").text) == {"grade": 1}
    assert [pause for pause in pauses if pause >= 1] == [waited] * 2


@pytest.mark.parametrize(
    "trouble, kind, detail",
    [
        ("!400", "refused", "400: told to answer 400"),
        ("!500", "server_error", "500: told to answer 500"),
        ("!429", "unreachable", "429: told to answer 429"),
        ("!502", "unreachable", "502: told to answer 502"),
        ("!503", "unreachable", "503: told to answer 503"),
        ("!504", "unreachable", "504: told to answer 504"),
        ("!drop", "unreachable", "ServerDisconnectedError: Server disconnected"),
        ("!hang", "timeout", "no answer within 1.5 s"),
        ("!garbage", "invalid_answer", "Expecting value: line 1 column 1 (char 0)"),
        ("!wrong", "invalid_answer", "'grade' is a required property"),
        ("!cut", "invalid_answer", "cut off at max_tokens"),
    ],
)
def test_a_lasting_trouble_has_a_kind_and_the_servers_words(hasty, trouble, kind, detail):
    found = fault(hasty, trouble)
    assert found.kind == kind
    assert detail in found.detail


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405])
def test_what_every_question_would_be_told_stops_the_run(server, client, status):
    with pytest.raises(UserError, match=f"{client.url} .*{status}"):
        ask(client, f"!{status}")
    assert len(server.requests) == 1


def test_a_question_that_breaks_the_connection_is_given_up_while_the_server_answers_others(server, monkeypatch):
    """With the patience for a server that is away, one document would stop the run."""
    monkeypatch.setattr("pipeline.llm.client.LONGEST_PAUSE", 0.01)
    with Client(server.url, "fake", patience=600) as client:
        bad = client.submit(client.ask(prompt("!drop")))
        with pytest.raises(LlmFault, match="ServerDisconnectedError.* 10 times") as found:
            bad.result(30)
        assert found.value.kind == "server_error" and client.counts()["tried_again"] == 9
        assert json.loads(ask(client, "another").text) == {"grade": 1}


def test_a_busy_answer_to_one_question_among_others_is_that_questions_own_fault(hasty):
    """Others are answered meanwhile, so the server is there."""
    bad = hasty.submit(hasty.ask(prompt("!503")))
    while not bad.done():
        ask(hasty, f"good {time.monotonic()}")
        time.sleep(0.05)
    assert bad.exception().kind == "timeout" and "503: told to answer 503" in bad.exception().detail


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"error": {"message": "one\\ntwo"}}', "one two"),
        ('{"message": "vLLM says"}', "vLLM says"),
        ("<html>\r\n<h1>502 Bad Gateway</h1>\r\n</html>", "<html> <h1>502 Bad Gateway</h1> </html>"),
        ("[1]", "[1]"),
    ],
)
def test_a_servers_words_fit_one_line(text, said):
    from pipeline.llm.responses import message

    assert message(text) == said


def test_a_question_that_the_server_breaks_on_is_given_up_soon(server):
    """Version 0.1 asked again for ten minutes."""
    with Client(server.url, "fake", patience=600.0) as patient:
        started = time.monotonic()
        assert fault(patient, "!500").kind == "server_error"
    assert time.monotonic() - started < 20 and len(server.requests) == 6


@pytest.mark.parametrize("trouble", ["!500", "!garbage", "!wrong"])
def test_a_server_that_answers_none_of_the_first_questions_stops_the_run(server, trouble):
    with Client(server.url, "fake", patience=600.0) as client:
        started = time.monotonic()
        futures = [client.submit(client.ask(prompt(f"{trouble} {i}"))) for i in range(64)]
        errors = [future.exception(60) for future in futures]
    assert time.monotonic() - started < 30
    assert sum(isinstance(error, LlmFault) for error in errors) == 19
    assert {type(error) for error in errors} == {LlmFault, ServiceError}
    said = next(str(error) for error in errors if isinstance(error, ServiceError))
    assert f"The model server at {server.url} answered none of the first 20 questions (" in said


def test_one_good_answer_says_that_the_server_works(server, client):
    ask(client, "good")
    for i in range(25):
        assert fault(client, f"!wrong {i}").kind == "invalid_answer"


def test_a_redirect_is_not_followed_with_the_key():
    with FakeOpenAI() as other, FakeOpenAI(elsewhere=f"{other.url}/chat/completions") as server:
        with Client(server.url, "fake", api_key="secret") as client, pytest.raises(UserError) as caught:
            ask(client, "!307")
        assert other.heads == []
    assert "points to another address (307)" in str(caught.value) and "secret" not in str(caught.value)


def test_4xx_is_not_asked_again(server, client):
    fault(client, "!400")
    assert len(server.requests) == 1


def test_an_invalid_answer_is_asked_twice_more_with_other_seeds_and_a_temperature(server, client):
    fault(client, "!wrong")
    assert [body["temperature"] for body in server.requests] == [0.0, 0.7, 0.7]
    assert len({body["seed"] for body in server.requests}) == 3


def test_the_callers_check_counts_as_validity(client):
    def even(answer):
        if json.loads(answer.text)["grade"] % 2:
            raise ValueError("grade is odd")

    assert fault(client, "x", validate=even).detail == "grade is odd"


def test_a_bad_request_disturbs_no_other(hasty):
    words = ["!400", "!hang", "!garbage", "!drop"] + [f"good {i}" for i in range(40)]
    window, results = Window(8), {}
    for word in words:
        results.update(window.add(word, hasty.submit(hasty.ask(prompt(word)))))
    results.update(window.drain())
    assert {word: r.kind for word, r in results.items() if isinstance(r, Exception)} == {
        "!400": "refused",
        "!hang": "timeout",
        "!garbage": "invalid_answer",
        "!drop": "unreachable",
    }
    assert sum(not isinstance(r, Exception) for r in results.values()) == 40


def test_faults_survive_pickling():
    copy = pickle.loads(pickle.dumps(LlmFault("timeout", "no answer within 1 s")))
    assert (copy.kind, copy.detail, str(copy)) == ("timeout", "no answer within 1 s", "timeout: no answer within 1 s")


# --- the window


def test_the_window_keeps_the_server_full_but_no_fuller(server):
    server.slow = 0.02
    with Client(server.url, "fake", concurrency=64) as client:
        window = Window(5)
        got = [pair for i in range(40) for pair in window.add(i, client.submit(client.ask(prompt(f"q {i}"))))]
        got += window.drain()
    assert sorted(item for item, _ in got) == list(range(40))
    assert server.most_in_flight == 5


def test_a_slow_answer_holds_nobody_up(server):
    words = ["!slow=1"] + [f"q {i}" for i in range(20)]
    window = Window(4)
    with Client(server.url, "fake") as client:
        got = [item for word in words for item, _ in window.add(word, client.submit(client.ask(prompt(word))))]
        got += [item for item, _ in window.drain()]
    assert got.index("!slow=1") > 10  # the others did not wait for it


def test_concurrency_bounds_the_client_whatever_the_windows(server):
    server.slow = 0.02
    with Client(server.url, "fake", concurrency=3) as client:
        for future in [client.submit(client.ask(prompt(f"q {i}"))) for i in range(20)]:
            future.result(30)
    assert server.most_in_flight == 3


# --- the cache


class Sharing:
    """A server that shares its time between the questions in flight, as a language model does: `rate` answers a second.

    What is broken off is lost.
    """

    def __init__(self, rate: float):
        self.rate, self.in_flight = rate, 0

    async def answer(self, request: web.Request) -> web.Response:
        left = 1.0
        self.in_flight += 1
        try:
            while left > 0:
                await asyncio.sleep(0.02)
                left -= 0.02 * self.rate / self.in_flight
            choice = {"message": {"content": '{"grade": 3}'}, "finish_reason": "stop"}
            return web.json_response({"choices": [choice]})
        finally:
            self.in_flight -= 1


@contextlib.contextmanager
def serving(handler):
    """The address of a web server in a thread, with this handler of questions."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start():
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handler)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_server_that_is_too_slow_for_all_questions_at_once_gets_fewer():
    """Of sixty-four at once, each would take 3.2 seconds, and none of them would ever be answered within one."""
    server = Sharing(rate=20)
    with serving(server.answer) as url, Client(url, "fake", concurrency=64, timeout=1.0, patience=20) as client:
        asked = [client.submit(client.ask(prompt(str(n)))) for n in range(64)]
        assert all(one.result(60).text == '{"grade": 3}' for one in asked)
        assert 1 <= client._slots.limit < 40


def test_slots_are_halved_once_for_questions_that_were_in_flight_together_and_come_back_by_rounds(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    slots = Slots(256)
    for _ in range(5):
        slots.overloaded(now)
    assert slots.limit == 128
    now += PAUSE / 2
    slots.overloaded(now)  # of a burst
    assert slots.limit == 128
    for _ in range(9):
        now += 2 * PAUSE
        slots.overloaded(now)
    assert slots.limit == 1
    slots.answered()
    assert slots.limit == 2
    for _ in range(2):
        slots.answered()
    assert slots.limit == pytest.approx(2.9)
    count = 3
    while slots.limit < 256:
        slots.answered()
        count += 1
    assert 2000 < count < 3000 and slots.limit == 256


def test_clients_of_one_process_share_the_slots_of_a_server():
    """Each stage of each thread has a client of its own."""
    with FakeOpenAI(slow=0.02) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server.url, "fake", concurrency=3)) for _ in range(3)]
        asked = [client.submit(client.ask(prompt(f"{at} {n}"))) for n in range(6) for at, client in enumerate(clients)]
        clients[0].close()  # what it asks, or waits to ask, leaves its slots to the others
        for one in asked[1::3] + asked[2::3]:
            assert one.result(30)
        # the server may still be at the three that were cancelled; with slots of their own the clients ask nine at once
        assert 3 <= server.most_in_flight <= 6 and clients[1]._slots is clients[2]._slots
        assert clients[1]._slots._used == 0 and clients[1].counts()["questions"] == 6
        stack.pop_all()
        for client in clients[1:]:
            client.close()


def test_a_server_that_answers_another_client_is_not_away():
    """A question was refused, and waited for longer than patience behind those of another client, which were answered."""
    with FakeOpenAI() as server, Client(server.url, "fake", 1) as one, Client(server.url, "fake", 1) as other:
        one._away_since = time.monotonic() - one.patience
        assert ask(other, "x")
        assert ask(one, "!503*1")


def test_waiting_for_a_slot_is_no_fault_of_the_server():
    """Two hundred questions to a server that can answer four at once in time: the last ones wait longer than patience."""
    server = Sharing(rate=20)
    with serving(server.answer) as url, Client(url, "fake", concurrency=4, timeout=1.0, patience=2.0) as client:
        asked = [client.submit(client.ask(prompt(str(n)))) for n in range(100)]
        assert all(one.result(60).text == '{"grade": 3}' for one in asked)


@pytest.mark.parametrize("status", [0, 500, 503], ids=["silent", "500", "503"])
def test_a_server_that_stops_answering_is_unreachable_and_no_question_is_blamed(monkeypatch, status):
    monkeypatch.setattr("pipeline.llm.client.LONGEST_PAUSE", 0.01)

    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(0 if status else 60)
        return web.Response(status=status)

    with serving(never) as url, Client(url, "fake", concurrency=8, timeout=0.3, patience=0.5) as client:
        client._answered = True  # it did before
        for asked in [client.submit(client.ask(prompt(str(n)))) for n in range(12)]:
            with pytest.raises(LlmFault, match="unreachable"):
                asked.result(30)


def test_a_question_that_the_server_fails_at_and_whether_it_answers_others(server):
    """Told by a question of one word, and only in the end."""
    with Client(server.url, "fake", patience=600.0) as client:
        ask(client, "good")
        assert fault(client, "!500").kind == "server_error"
        assert [body["messages"][-1]["content"] for body in server.requests] == ["good", *["!500"] * 6, "Hello"]


def test_a_second_run_asks_nothing_whatever_the_address(tmp_path):
    for run in range(2):
        with FakeOpenAI() as server:  # another port each time
            with Client(server.url, "fake", cache=Store(str(tmp_path))) as client:
                answers = [ask(client, f"q {i}", logprobs=2) for i in range(5)]
            assert len(server.requests) == (0 if run else 5)
            assert {answer.cached for answer in answers} == {bool(run)}
            assert answers[0].logprobs[0]["token"] == "{"


def test_each_part_of_the_question_is_part_of_its_key(server, tmp_path):
    store = Store(str(tmp_path))
    with Client(server.url, "fake", cache=store) as client:
        for parameters in ({}, {"seed": 1}, {"temperature": 0.5}, {"max_tokens": 9}, {"logprobs": 1}):
            assert not ask(client, "q", **parameters).cached
        assert not ask(client, "other").cached
        other = dataclasses.replace(prompt("q"), schema=SCHEMA | {"title": "grade"})
        assert not client.submit(client.ask(other)).result(30).cached
    with Client(server.url, "fake", cache=store, identity="fake@other-weights") as client:
        assert not ask(client, "q").cached


def test_only_valid_answers_are_kept_under_the_question_first_asked(server, tmp_path):
    with Client(server.url, "fake", cache=Store(str(tmp_path))) as client:
        fault(client, "!wrong")
        assert not values(tmp_path)
        ask(client, "!garbage*1")
        assert ask(client, "!garbage*1").cached
    assert len(values(tmp_path)) == 1


def test_of_equal_questions_at_once_one_is_asked(server, tmp_path):
    with Client(server.url, "fake", cache=Store(str(tmp_path))) as client:
        asked = [client.submit(client.ask(prompt(text))) for text in "abab"]
        answers = [one.result(30) for one in asked]
        assert len(server.requests) == 2 and sorted(answer.cached for answer in answers) == [False, False, True, True]
        assert not client._turns


def test_a_cached_answer_that_a_stricter_check_refuses_is_asked_again(server, tmp_path):
    def high(answer):
        if json.loads(answer.text)["grade"] < 4:
            raise ValueError("too low")

    with Client(server.url, "fake", cache=Store(str(tmp_path))) as client:
        ask(client, "q")
        server.reply = lambda body: '{"grade": 5}'
        answer = ask(client, "q", validate=high)
    assert not answer.cached and answer.text == '{"grade": 5}'


def test_the_server_is_only_wanted_for_what_the_cache_does_not_know(server, tmp_path):
    calls = []

    async def ready():
        calls.append(1)

    with Client(server.url, "fake", cache=Store(str(tmp_path)), ready=ready) as client:
        ask(client, "q")
        ask(client, "q")
    assert len(calls) == 1


# --- a server that is away


def test_a_server_that_comes_back_on_its_port_gets_the_question(tmp_path):
    port = free_port()
    with Client(f"http://127.0.0.1:{port}", "fake", patience=20) as client:
        future = client.submit(client.ask(prompt("q")))
        time.sleep(0.3)  # refused at least once by now
        assert not future.done()
        with FakeOpenAI(port=port):
            assert json.loads(future.result(20).text) == {"grade": 1}


def test_once_a_server_has_been_away_for_long_questions_fail_at_the_first_try(server, hasty):
    fault(hasty, "!drop first")
    assert len(server.requests) > 1
    time.sleep(3.0)  # the patience is over
    server.requests.clear()
    for i in range(5):
        assert fault(hasty, f"!drop {i}").kind == "unreachable"
    assert len(server.requests) == 5
    ask(hasty, "it is back")
    server.requests.clear()
    fault(hasty, "!drop again")
    assert len(server.requests) > 1


# --- the check before the run


def test_the_check_names_the_served_model(server):
    assert check_server(server.url, "fake") == "fake"
    assert check_server(server.url.removesuffix("/v1"), None) == "fake"


def test_the_check_says_what_to_do(server):
    with pytest.raises(UserError, match="does not serve 'llama': choose one of 'fake' in the config"):
        check_server(server.url, "llama")
    with pytest.raises(UserError, match="answers 404 to /models: give the address of an OpenAI-compatible server"):
        check_server(server.url + "/nonsense", "fake")
    with pytest.raises(UserError, match=r"does not answer \(.*refused.*\): start it"):
        check_server(f"http://127.0.0.1:{free_port()}", "fake")
    with pytest.raises(UserError, match="'localhost:8000' is not an http"):
        check_server("localhost:8000", "fake")
    for address in (
        "http://h:abc/v1",
        "http://h:99999/v1",
        "http://[::1/v1",
        "http:///v1",
        "http://h/v 1",
        "http://h/\n",
    ):
        with pytest.raises(UserError, match="is not an http"):
            check_server(address, "fake")


def test_the_check_of_a_port_where_no_web_server_listens():
    with no_web_server() as address, pytest.raises(UserError, match="is not an OpenAI-compatible server"):
        check_server(f"{address}/v1", "fake")


@pytest.mark.parametrize(
    "given, used",
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("https://h/openai/v1", "https://h/openai/v1"),
    ],
)
def test_base_url(given, used):
    assert base_url(given) == used
