"""Failures of a server as the errors that say what to do, and a cache that outlives them."""

import asyncio
import io
import json
import time

import PIL.EpsImagePlugin
import PIL.Image
import pytest

from moss.servers import client, transport
from moss.servers.client import Question
from moss.servers.transport import Server
from schemas.errors import RecordFault, ServiceError, UserError
from tests.moss.servers import fake

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def question(n):
    return Question([{"role": "user", "content": [client.text_part(str(n))]}], SCHEMA)


def answered(body):
    return json.dumps({"n": int(body["messages"][0]["content"][0]["text"])})


def test_answers_come_in_the_order_of_their_questions_and_are_kept(tmp_path):
    with fake.FakeVision(answered) as server:
        asked = Server(server.url, "m", tmp_path / "cache", concurrency=3)
        assert client.ask_all(asked, range(10), question) == [{"n": n} for n in range(10)]
        kept = next((tmp_path / "cache").rglob("*/*"))
        kept.write_text("damaged")
        assert client.ask_all(asked, range(10), question) == [{"n": n} for n in range(10)]
        assert len(server.requests) == 11 and server.requests[0]["response_format"]["json_schema"]["strict"]
        client.ask_all(Server(server.url, "another", tmp_path / "cache"), [1], question)
        assert len(server.requests) == 12


def test_a_busy_server_is_waited_for_and_one_that_stays_away_ends_the_run():
    seen = []

    def busy(body):
        seen.append(body)
        return (503, {}) if len(seen) < 3 else (200, fake.FakeVision._wrapped(None, answered(body)))

    with fake.FakeVision(answered) as server:
        server.raw = busy
        assert client.ask_all(Server(server.url, "m"), [7], question) == [{"n": 7}] and len(seen) == 3
        server.raw = lambda body: (500, {"error": {"message": "broken"}})
        with pytest.raises(ServiceError, match=r"did not answer \(\d tries in \d+\.\d s; the last: 500.*broken"):
            client.ask_all(Server(server.url, "m", patience=0.5), [7], question)
        gone = server.url
    with pytest.raises(ServiceError, match="run the same command again"):
        client.ask_all(Server(gone, "m", patience=0.5), [7], question)


def test_a_busy_server_is_left_alone_as_long_as_it_asks():
    seen = []

    def busy(body):
        seen.append(time.monotonic())
        return (429, {}) if len(seen) == 1 else (200, fake.FakeVision._wrapped(None, answered(body)))

    with fake.FakeVision(answered, retry_after="2") as server:
        server.raw = busy
        assert client.ask_all(Server(server.url, "m"), [7], question) == [{"n": 7}]
        assert seen[1] - seen[0] >= 2  # it would have been asked again after 0.25 s
        seen.clear()
        with pytest.raises(ServiceError, match=r"1 tries in \d+\.\d s; the last: 429"):  # so it is not asked in vain
            client.ask_all(Server(server.url, "m", patience=1), [7], question)
        assert len(seen) == 1


def bad(body, fault):
    """Question 7 gets the fault, every other one its answer; one in plain words too."""
    text = body["messages"][0]["content"]
    return (
        fault
        if text != "Reply with yes." and text[0]["text"] == "7"
        else (200, fake.FakeVision._wrapped(None, '{"n": 1}'))
    )


def test_a_question_that_the_server_fails_on_is_a_fault_of_its_own_while_it_answers_others(tmp_path):
    with fake.FakeVision(answered) as server:
        server.raw = lambda body: bad(body, (500, {"error": {"message": "no such pixels"}}))
        asked = Server(server.url, "m", tmp_path / "cache", patience=0.5)
        for _ in range(2):  # the second time the other answer is in the cache
            first, fault = client.ask_all(asked, [3, 7], question)
            assert first == {"n": 1} and isinstance(fault, RecordFault) and fault.kind == "server_error"
            assert "no such pixels" in fault.detail and " tries in " in fault.detail
        server.raw = lambda body: (500, {})  # it answered the first one once, and now nothing at all
        with pytest.raises(ServiceError, match="run the same command again"):
            client.ask_all(asked, [3, 7], question)
        server.raw = lambda body: bad(body, (503, {}))  # busy, which is never a question's fault
        with pytest.raises(ServiceError, match="the last: 503"):
            client.ask_all(asked, [3, 7], question)


def test_a_question_without_an_answer_in_time_is_asked_once_more_and_the_time_is_said():
    seen = []

    def slow(body):
        seen.append(body)
        return bad(body, (200, {}))

    with fake.FakeVision(answered) as server:
        own = server._complete

        async def hanging(body):
            found = slow(body)
            if found == (200, {}):
                await asyncio.sleep(30)
            return found

        server._complete = hanging
        asked = Server(server.url, "m", timeout=1.5, patience=0.5)
        [_, fault] = client.ask_all(asked, [3, 7], question)
        assert fault.kind == "server_error" and fault.detail.startswith("no answer in 1.5 s (2 tries in ")
        server._complete = own
        assert len(seen) == 4  # both questions, the second one once more, and one in plain words


@pytest.mark.parametrize("status,said", [(401, "API key"), (404, "takes no questions"), (307, "takes no questions")])
def test_what_a_user_has_to_mend_is_said(status, said):
    with fake.FakeVision(answered) as server:
        server.raw = lambda body: (status, {})
        with pytest.raises(UserError, match=said):
            client.ask_all(Server(server.url, "m"), [1], question)


def test_a_question_that_is_refused_or_never_answered_by_the_schema_is_a_fault_of_its_own():
    with fake.FakeVision(answered) as server:
        server.raw = lambda body: (400, {"error": {"message": "too long"}})
        [fault] = client.ask_all(Server(server.url, "m"), [1], question)
        assert isinstance(fault, RecordFault) and fault.kind == "refused" and "too long" in fault.detail
    for wrong in ('{"n": 1.5}', '{"n": NaN}', '{"n": 1, "n": 2}', "", '{"n": 1, "m": 2}'):
        with fake.FakeVision(lambda body, wrong=wrong: wrong) as server:
            [fault] = client.ask_all(Server(server.url, "m"), [1], question)
            assert fault.kind == "invalid_answer" and len(server.requests) == client.TRIES


def test_an_answer_that_could_not_be_written_is_no_answer():
    schema = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}

    def asked(text):
        return Question([{"role": "user", "content": [client.text_part(text)]}], schema)

    with fake.FakeVision(lambda body: body["messages"][0]["content"][0]["text"]) as server:
        half, whole = '{"reason": "a\\ud83d"}', '{"reason": "a\\ud83d\\ude00"}'
        found = client.ask_all(Server(server.url, "m"), [half, whole], asked)
    assert isinstance(found[0], RecordFault) and found[0].kind == "invalid_answer"
    assert found[1] == {"reason": "a\U0001f600"}


def test_a_reply_is_read_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)
    with fake.FakeVision(lambda body: '{"n": 1}' + " " * 10_000_000) as server:
        [fault] = client.ask_all(Server(server.url, "m"), [1], question)
    assert fault.kind == "invalid_answer"


def test_a_reply_that_is_postscript_is_no_picture_and_starts_no_ghostscript(monkeypatch):
    started = []
    monkeypatch.setattr(
        PIL.EpsImagePlugin, "Ghostscript", lambda *given: started.append(given) or fake.picture_of("red", 1).im
    )
    script, picture = io.BytesIO(), io.BytesIO()
    PIL.Image.new("RGB", (4, 4)).save(script, "EPS")
    PIL.Image.new("RGB", (4, 4)).save(picture, "WEBP")
    assert not client._is_picture(script.getvalue()) and client._is_picture(picture.getvalue())
    assert not started


def test_pictures_are_drawn_kept_and_refused_one_by_one(tmp_path):
    with fake.FakeVision(answered) as server:
        asked = Server(server.url, "painter", tmp_path / "cache")
        red, fault = client.draw_all(asked, ["a red cup", "refuse this"], "64x64")
        assert red.startswith(b"\x89PNG") and fault.kind == "refused"
        assert client.draw_all(asked, ["a red cup"], "64x64") == [red]
        assert sorted(server.drawn) == ["a red cup", "refuse this"]


def test_the_first_model_of_a_server_and_its_address():
    with fake.FakeVision(answered, model="eyes") as server:
        assert client.model_of(client.base_url(server.url.removesuffix("/v1"))) == "eyes"
    for wrong in ("127.0.0.1:8000", "ftp://x", "http://"):
        with pytest.raises(UserError):
            client.base_url(wrong)


def test_a_large_picture_is_sent_smaller_and_a_transparent_one_at_all():
    part = client.picture_part(PIL.Image.new("RGBA", (2000, 1000)))
    [sent] = fake.looked_at([{"type": "image_url", **part}])[1]
    assert sent.shape == (384, 768, 3)
