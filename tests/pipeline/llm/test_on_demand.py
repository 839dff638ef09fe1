"""A server of the pipeline's own is started when somebody asks, and not before."""

import asyncio
import errno
import os
import pathlib
import stat
import subprocess
import sys
import time

import pytest

from pipeline.config import Llm
from pipeline.llm import choice, on_demand
from schemas.errors import UserError
from tests.pipeline.llm.test_server import alive
from tests.pipeline.runs import ROOT, a_run

FAKE = ROOT / "tests/fake_openai.py"


def started(run):
    return on_demand.when_wanted(
        run.config.llm, run.llm_url, run.llm_wanted, pathlib.Path(run.work) / "llm.log", run.prompts
    )


@pytest.fixture
def fake_vllm(tmp_path, monkeypatch) -> pathlib.Path:
    """A Python that starts the stand-in whatever module it is told to run."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {FAKE} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("LEAFINSTRUCT_VLLM_PYTHON", str(python))
    return python


def a_local_run(tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": 8}')
    llm, url, _ = choice.reserve(Llm(model=str(tmp_path), name="fake"))
    run = a_run(tmp_path, llm_url=url, llm=llm)
    return type(run)(**vars(run) | {"llm_wanted": f"{tmp_path}/llm"})


def test_nobody_asks_and_nothing_starts(tmp_path, fake_vllm):
    run = a_local_run(tmp_path)
    with started(run):
        time.sleep(3 * on_demand.EVERY)
    assert not os.path.exists(f"{run.work}/llm.log")


def test_the_first_question_starts_it_and_the_end_ends_it(tmp_path, fake_vllm):
    run = a_local_run(tmp_path)
    with started(run):
        asyncio.run(asyncio.wait_for(on_demand.ready(run.llm_wanted), 60))
        pids = [int(pid) for pid in pathlib.Path(run.work, "llm.log").read_text().split("pids ")[1].split()[:2]]
        assert all(map(alive, pids))
    assert not any(map(alive, pids))


def test_a_server_that_fails_is_told_to_whoever_waits(tmp_path, fake_vllm):
    fake_vllm.write_text("#!/bin/sh\necho the weights are not there\nexit 3\n")
    run = a_local_run(tmp_path)
    with started(run), pytest.raises(UserError, match="the weights are not there"):
        asyncio.run(asyncio.wait_for(on_demand.ready(run.llm_wanted), 60))


def test_a_launcher_that_cannot_say_why_it_failed_leaves_nobody_waiting(tmp_path, fake_vllm, monkeypatch, capfd):
    fake_vllm.write_text("#!/bin/sh\necho the weights are not there\nexit 3\n")
    run = a_local_run(tmp_path)
    with started(run):
        write = on_demand.write_bytes

        def on_a_full_disk(path: str, data: bytes) -> None:
            if data:
                raise OSError(errno.ENOSPC, "No space left on device", path)
            write(path, data)

        monkeypatch.setattr(on_demand, "write_bytes", on_a_full_disk)
        with pytest.raises(UserError, match=f"could not write to {run.llm_wanted} .is its disk full"):
            asyncio.run(asyncio.wait_for(on_demand.ready(run.llm_wanted), 60))
    assert "the weights are not there" in capfd.readouterr().err


def test_a_launcher_that_was_killed_leaves_nobody_waiting(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "launcher").write_text(str(ended.pid))
    with pytest.raises(UserError, match="the launcher has ended"):
        asyncio.run(asyncio.wait_for(on_demand.ready(str(tmp_path)), 10))


def test_a_missing_model_is_told_before_anything_runs(fake_vllm):
    with pytest.raises(UserError, match="make models"):
        choice.reserve(Llm(model="build/models/nothing", name="x"))


def test_a_server_that_runs_already_is_not_waited_for():
    asyncio.run(asyncio.wait_for(on_demand.ready(""), 1))
