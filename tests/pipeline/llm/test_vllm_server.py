"""The server's life and death, with a stand-in for vLLM (`fake_openai.py`, which has a child process as vLLM has)."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.llm import vllm_server
from pipeline.llm.client import Client, check_server
from pipeline.llm.vllm_server import Server, find_python, free_port, model_identity
from schemas.errors import UserError
from tests.pipeline.web import no_web_server

ROOT = Path(__file__).resolve().parents[3]
FAKE = ROOT / "tests/fake_openai.py"


def stand_in(folder: Path, before: str = "") -> Path:
    """A program to be called like the Python of the vLLM environment. `before` is shell that runs first."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{before}\nexec {shlex.quote(sys.executable)} {shlex.quote(str(FAKE))} \"$@\" $MORE\n")
    path.chmod(0o755)
    return path


def pids(folder: Path) -> list[int]:
    """Of the server that was started last, and of its child."""
    return [int(pid) for pid in re.findall(r"^pids (\d+) (\d+)$", (folder / "vllm.log").read_text(), re.M)[-1]]


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
    with Server("a/model", "fake", python=stand_in(tmp_path), log_path=tmp_path / "vllm.log") as server:
        yield server


def test_it_serves_until_it_is_closed(tmp_path, capfd):
    with Server("a/model", "tiny", python=stand_in(tmp_path), log_path=tmp_path / "vllm.log") as server:
        assert check_server(server.url, "tiny") == "tiny"
        running = pids(tmp_path)
        assert all(map(alive, running))
    assert not any(map(alive, running))
    assert f"vLLM: ready at {server.url}" in capfd.readouterr().err


def test_vllm_gets_the_flags_and_the_environment(tmp_path):
    python = stand_in(tmp_path, "echo \"$@\"; env | grep -e ^VLLM -e ^HF_; pwd")
    (tmp_path / "model").mkdir()
    with Server(str(tmp_path / "model"), "tiny", python=python, log_path=tmp_path / "logs/vllm.log", max_num_seqs=9):
        log = (tmp_path / "logs/vllm.log").read_text()
    assert f"-m vllm.entrypoints.openai.api_server --model {tmp_path}/model --served-model-name tiny" in log
    assert "--max-model-len 2048 --max-num-seqs 9 --enforce-eager" in log
    assert {"VLLM_CPU_KVCACHE_SPACE=2", "HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1"} <= set(log.split("\n"))
    assert f"\n{tmp_path}/logs\n" in log                            # not the project's folder


@pytest.mark.parametrize("which", ["server", "guard"])
def test_a_server_that_is_killed_comes_back_on_its_port(server, tmp_path, which):
    first = pids(tmp_path)
    os.kill(first[0] if which == "server" else server._guard.pid, signal.SIGKILL)
    assert eventually(lambda: not any(map(alive, first)))           # its child is not left behind either
    with Client(server.url, "fake", patience=30) as client:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        answer = client.submit(client.ask(Prompt(({"role": "user", "content": "q"},), schema))).result(60)
    assert json.loads(answer.text) == {"a": 0}
    assert pids(tmp_path) != first


@dataclasses.dataclass(frozen=True)
class Prompt:
    messages: tuple[dict, ...]
    schema: dict


def test_it_is_started_again_three_times_at_most(tmp_path, capfd):
    python = stand_in(tmp_path, "[ -e second ] && MORE=--fail; touch second")
    with Server("a/model", "fake", python=python, log_path=tmp_path / "vllm.log"):
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
        said = []
        assert eventually(lambda: said.append(capfd.readouterr().err) or "stays down" in "".join(said))
    assert re.findall(r"restart (\d) of 3", "".join(said)) == ["1", "2", "3"]


def test_a_server_that_cannot_start_says_why(tmp_path):
    python = stand_in(tmp_path, "MORE=--fail")
    with pytest.raises(UserError, match="ended while it started(.|\n)*RuntimeError: the weights are not there"):
        Server("a/model", "fake", python=python, log_path=tmp_path / "vllm.log")


def test_a_server_that_does_not_get_ready_is_given_up(tmp_path):
    python = stand_in(tmp_path, "exec sleep 60")
    with pytest.raises(UserError, match="was not ready after 1 s"):
        Server("a/model", "fake", python=python, log_path=tmp_path / "vllm.log", start_timeout=0.6)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, "exception"])
def test_nothing_is_left_whatever_ends_the_pipeline(tmp_path, end):
    program = f"""
import time
from pipeline.llm.vllm_server import Server
with Server("a/model", "fake", python={str(stand_in(tmp_path))!r}, log_path={str(tmp_path / "vllm.log")!r}) as server:
    print(server._guard.pid, flush=True)
    {"raise ValueError" if end == "exception" else "time.sleep(60)"}
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as parent:
        group = [int(parent.stdout.readline()), *pids(tmp_path)]
        if end != "exception":
            assert all(map(alive, group))
            parent.send_signal(end)
    assert eventually(lambda: not any(map(alive, group)))


def test_where_vllm_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(vllm_server, "PROJECT", tmp_path)
    monkeypatch.delenv(vllm_server.PYTHON_VARIABLE, raising=False)
    with pytest.raises(UserError, match="run `make setup-vllm`, or .* --llm-url"):
        find_python()
    own = tmp_path / ".venv-vllm/bin/python"
    own.parent.mkdir(parents=True)
    own.touch(mode=0o755)
    assert find_python() == own
    monkeypatch.setenv(vllm_server.PYTHON_VARIABLE, str(stand_in(tmp_path)))
    assert find_python() == tmp_path / "python"
    monkeypatch.setenv(vllm_server.PYTHON_VARIABLE, "/nowhere/python")
    with pytest.raises(UserError, match="'/nowhere/python', which is not a program"):
        find_python()


def test_a_model_is_its_bytes(tmp_path):
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        (tmp_path / name / "config.json").write_text("{}")
    a, b, c = (model_identity(tmp_path / name, "tiny") for name in "abc")
    assert a == b != c
    assert re.fullmatch(r"tiny@[0-9a-f]{16}", a)


def test_a_free_port_is_free():
    assert free_port() != free_port()


def test_vllms_requirements_are_names_and_exact_versions_only():
    lines = [s for s in (ROOT / "requirements/vllm.txt").read_text().splitlines() if not s.startswith("#")]
    wrong = [s for s in lines if not re.fullmatch(r'[A-Za-z0-9_.-]+==[\w.]+(; platform_machine == "\w+")?', s)]
    assert not wrong
    assert "torch==2.13.0" in lines


def test_real_vllm_answers_within_the_schema(tmp_path):
    model = Path(os.environ.get("LEAFINSTRUCT_TEST_MODEL", ROOT / "build/models/language"))
    try:
        python = find_python()
    except UserError as error:
        pytest.skip(str(error))
    if not (model / "config.json").exists():
        pytest.skip(f"no model in {model}: run `make models`")
    schema = {"type": "object", "properties": {"grade": {"type": "integer", "minimum": 1, "maximum": 5}},
              "required": ["grade"], "additionalProperties": False}
    question = Prompt(({"role": "user", "content": "Rate this text from 1 to 5: The cat sat on the mat."},), schema)
    with Server(str(model), "tiny", python=python, log_path=tmp_path / "vllm.log") as server:
        group = os.getpgid(server._guard.pid)
        running = [p.pid for p in psutil.process_iter() if os.getpgid(p.pid) == group]
        assert len(running) >= 3                                    # guard, API server, engine
        with Client(server.url, "tiny") as client:
            answer = client.submit(client.ask(question, logprobs=5)).result(120)
    assert 1 <= json.loads(answer.text)["grade"] <= 5
    assert "".join(token["token"] for token in answer.logprobs).startswith(answer.text)
    assert not any(map(alive, running))


def test_what_speaks_no_http_is_not_healthy():
    with no_web_server() as address:
        assert not vllm_server._healthy(address)
