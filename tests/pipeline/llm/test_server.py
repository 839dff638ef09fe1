"""A server's life and death, with a stand-in (`fake_openai.py`, which has a child process as vLLM has)."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.llm.client import Client
from pipeline.llm.probe import check_server
from pipeline.llm.server import Program, Server, free_port, healthy
from prompts import Prompt
from schemas.errors import UserError
from tests.pipeline.web import no_web_server

ROOT = Path(__file__).resolve().parents[3]
FAKE = ROOT / "tests/fake_openai.py"


def stand_in(folder: Path, before: str = "") -> Path:
    """A program that serves. `before` is shell that runs first."""
    path = folder / "program"
    path.write_text(f'#!/bin/sh\n{before}\nexec {shlex.quote(sys.executable)} {shlex.quote(str(FAKE))} "$@" $MORE\n')
    path.chmod(0o755)
    return path


def started(folder: Path, before: str = "", **options) -> Server:
    port = free_port()
    program = Program("Fake", (str(stand_in(folder, before)), "--port", str(port), "--served-model-name", "fake"))
    return Server(program, f"http://127.0.0.1:{port}/v1", log_path=folder / "llm.log", **options)


def pids(folder: Path) -> list[int]:
    """Of the server that was started last, and of its child."""
    return [int(pid) for pid in re.findall(r"^pids (\d+) (\d+)$", (folder / "llm.log").read_text(), re.M)[-1]]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition) -> bool:
    for _ in range(300):
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def server(tmp_path):
    with started(tmp_path) as server:
        yield server


def test_it_serves_until_it_is_closed(tmp_path, capfd):
    with started(tmp_path) as server:
        assert check_server(server.url, "fake") == "fake"
        running = pids(tmp_path)
        assert all(map(alive, running))
    assert not any(map(alive, running))
    assert f"Fake: ready at {server.url}" in capfd.readouterr().err


def test_it_does_not_get_the_key_of_another_server(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAFINSTRUCT_LLM_KEY", "secret")
    monkeypatch.setenv("HF_HOME", "/models")
    with started(tmp_path):
        for pid in pids(tmp_path):
            names = psutil.Process(pid).environ()
            assert "LEAFINSTRUCT_LLM_KEY" not in names and names["HF_HOME"] == "/models"


@pytest.mark.parametrize("which", ["server", "guard"])
def test_a_server_that_is_killed_comes_back_on_its_port(server, tmp_path, which):
    first = pids(tmp_path)
    os.kill(first[0] if which == "server" else server._guard.pid, signal.SIGKILL)
    assert eventually(lambda: not any(map(alive, first)))  # its child is not left behind either
    with Client(server.url, "fake", patience=30) as client:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        answer = client.submit(client.ask(Prompt(({"role": "user", "content": "q"},), schema))).result(60)
    assert json.loads(answer.text) == {"a": 0}
    assert pids(tmp_path) != first


def test_it_is_started_again_three_times_at_most(tmp_path, capfd):
    with started(tmp_path, "[ -e second ] && MORE=--fail; touch second"):
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
        said = []
        assert eventually(lambda: said.append(capfd.readouterr().err) or "stays down" in "".join(said))
    assert re.findall(r"restart (\d) of 3", "".join(said)) == ["1", "2", "3"]


def test_a_server_that_cannot_start_says_why(tmp_path):
    with pytest.raises(UserError, match="ended while it started(.|\n)*RuntimeError: the weights are not there"):
        started(tmp_path, "MORE=--fail")


def test_a_server_that_does_not_get_ready_is_given_up(tmp_path):
    with pytest.raises(UserError, match="was not ready after 1 s"):
        started(tmp_path, "exec sleep 60", start_timeout=0.6)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, "exception"])
def test_nothing_is_left_whatever_ends_the_pipeline(tmp_path, end):
    """No process, and nothing in the folder for temporary files, where the stand-in leaves something."""
    (tmp_path / "tmp").mkdir()
    program = f"""
import pathlib, time
from tests.pipeline.llm.test_server import started
with started(pathlib.Path({str(tmp_path)!r}), "echo left > $TMPDIR/behind") as server:
    print(server._guard.pid, flush=True)
    {"raise ValueError" if end == "exception" else "time.sleep(60)"}
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    ) as parent:
        group = [int(parent.stdout.readline()), *pids(tmp_path)]
        if end != "exception":
            assert all(map(alive, group))
            assert list((tmp_path / "tmp").glob("leafinstruct-*/behind"))
            parent.send_signal(end)
    assert eventually(lambda: not any(map(alive, group)))
    assert not list((tmp_path / "tmp").iterdir())


def test_a_free_port_is_free():
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        assert port != free_port() and 20_000 <= port < 32_000


def test_what_speaks_no_http_is_not_healthy():
    with no_web_server() as address:
        assert not healthy(address)
