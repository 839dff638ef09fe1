"""Questions to several model servers, and where their key comes from."""

from __future__ import annotations

import concurrent.futures
import dataclasses

import pytest

from pipeline.graph.asking import ask_each, at_once, connect
from pipeline.graph.window import Window
from pipeline.llm import keys, questions
from pipeline.llm.probe import check_server, probe
from schemas.errors import ServiceError, UserError
from schemas.records import Document, Text
from tests.fake_openai import FakeOpenAI
from tests.pipeline import disk  # noqa: F401  (disk://)
from tests.pipeline.runs import a_run, with_llm


def rating(run):
    return ask_each(connect(run), lambda client, one: questions.rate(client, run.prompts, one))


def document(number: int) -> Document:
    return Document(str(number), "test", (Text(f"Text {number}"),))


def test_each_document_is_asked_of_the_server_with_the_least_to_do(tmp_path):
    with FakeOpenAI(slow=0.05) as one, FakeOpenAI(slow=0.05) as two:
        run = a_run(tmp_path, f"{one.url}, {two.url}")
        step = rating(run)
        for future in [step(document(number)) for number in range(20)]:
            assert future.result(30)
        assert step.counts()["questions"] == 20
        step.close()
        assert len(one.requests) == len(two.requests) == 10
        again = rating(run)
        for future in [again(document(number)) for number in range(20)]:
            future.result(30)
        assert again.counts() == {"questions": 20, "from_cache": 20}  # whichever server was asked
        again.close()


def test_a_stage_has_enough_documents_for_each_server(tmp_path):
    with FakeOpenAI(slow=0.05) as one, FakeOpenAI(slow=0.05) as two:
        run = with_llm(a_run(tmp_path, f"{one.url},{two.url}"), concurrency=3)
        step, window = rating(run), Window(at_once(run))
        for number in range(12):
            window.add(number, step(document(number)))
        list(window.drain())
        step.close()
        assert one.most_in_flight == two.most_in_flight == 3


def test_a_slow_server_gets_fewer(tmp_path):
    with FakeOpenAI(slow=0.5) as slow, FakeOpenAI() as quick:
        step, running = rating(a_run(tmp_path, f"{slow.url},{quick.url}")), set()
        for number in range(30):
            if len(running) == 4:
                running = concurrent.futures.wait(running, 30, concurrent.futures.FIRST_COMPLETED).not_done
            running.add(step(document(number)))
        concurrent.futures.wait(running, 30)
        step.close()
        assert 1 <= len(slow.requests) < len(quick.requests) / 2


def test_one_of_several_that_stays_away_stops_the_run(tmp_path):
    with FakeOpenAI() as one:
        run = with_llm(a_run(tmp_path, f"http://127.0.0.1:9/v1,{one.url}"), deadline=0.2)
        step = rating(run)
        futures = [step(document(number)) for number in range(4)]
        with pytest.raises(ServiceError, match="the model server at http://127.0.0.1:9/v1 stopped answering"):
            [future.result(30) for future in futures]
        step.close()


def test_all_of_several_servers_are_checked_and_must_have_one_model():
    with FakeOpenAI() as one, FakeOpenAI() as two, FakeOpenAI(model="other") as other:
        assert check_server(f"{one.url},{two.url}", "fake") == check_server(f"{one.url},{two.url}", None) == "fake"
        with pytest.raises(UserError, match=r"different models \('fake' and 'other'\)"):
            check_server(f"{one.url},{other.url}", None)
        with pytest.raises(UserError, match="does not serve 'fake'"):
            check_server(f"{one.url},{other.url}", "fake")
        with pytest.raises(UserError, match="address of the model server is empty"):
            check_server(" , ", None)
        probe(f"{one.url},{two.url}", "fake", a_run("").prompts)
        assert len(one.requests) == len(two.requests) == 1


def test_the_key_is_read_by_each_process_from_a_file_that_the_configuration_names(tmp_path, monkeypatch):
    monkeypatch.setenv(keys.VARIABLE, "of the environment")
    (tmp_path / "key").write_text("of the file\n")
    with FakeOpenAI() as server:
        for key_file, said in (
            (f"{tmp_path}/key", "of the file"),
            (f"disk:/{tmp_path}/key", "of the file"),
            (None, "of the environment"),
        ):
            run = with_llm(a_run(tmp_path / said.replace(" ", "-"), server.url), url=server.url, key_file=key_file)
            step = rating(run)
            step(document(1)).result(30)
            step.close()
            assert f"Authorization: Bearer {said}\r\n" in server.heads[-1]
            assert "of the file" not in repr(run)


@pytest.mark.parametrize("written", [None, b"", b" \n", b"two\nlines", b"\xff"])
def test_a_file_without_a_key_is_for_the_user_to_mend(tmp_path, written):
    if written is not None:
        (tmp_path / "key").write_bytes(written)
    llm = a_run(tmp_path).config.llm
    with pytest.raises(UserError, match="llm.key_file: .*key"):
        keys.of(dataclasses.replace(llm, key_file=f"{tmp_path}/key"))
