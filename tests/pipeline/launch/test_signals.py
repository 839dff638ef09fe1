"""Ctrl-C and a polite kill, sent to a real command: one sentence, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from tests.answers import MODEL, answer
from tests.fake_openai import FakeOpenAI
from tests.pipeline.runs import ROOT, demo_tree

COHERENCE = ROOT / "build/models/coherence"
pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def started(folder: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    """`leafinstruct build` of the example corpus, in a process group and with a temporary folder of its own."""
    tree = demo_tree()
    tree["llm"] |= {"name": MODEL, "model": str(folder / "model"), "server": "vllm"}
    tree["clip"]["model"] = f"local-dir:{COHERENCE}"
    tree["corpora"] = [{"format": "native", "path": str(ROOT / "examples/corpus")}]
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    (folder / "tmp").mkdir()
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipeline.cli",
            "build",
            "--config",
            str(folder / "config.yaml"),
            "--output",
            str(folder / "out"),
            "--limit",
            "8",
            *flags,
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | environment | {"TMPDIR": str(folder / "tmp")},
    )


def stop(run: subprocess.Popen[str], folder: Path, number: int, when: Callable[[], bool]) -> None:
    """Send the signal to the whole group, as a terminal does, once `when()` holds; then look at what is left."""
    deadline = time.monotonic() + 240
    while not when() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert run.poll() is None and when()
    children = psutil.Process(run.pid).children(recursive=True)
    os.killpg(run.pid, number)
    try:
        said = run.communicate(timeout=120)[1]
    finally:
        run.kill()  # if it did not stop
    assert run.returncode == CODES[number], said
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert said.splitlines()[-1].startswith("leafinstruct: stopped; what was finished is kept")
    _, alive = psutil.wait_procs(children, 10)
    assert not alive
    assert not list((folder / "tmp").iterdir())
    assert not (folder / "out/manifest.json").exists()


def test_while_texts_are_rated(tmp_path):
    with FakeOpenAI(MODEL, reply=answer, trouble=lambda n: "hang" if n > 1 else "") as server:  # the first is the probe
        run = started(tmp_path, "--llm-url", server.url)
        stop(run, tmp_path, signal.SIGINT, lambda: server.in_flight > 1)


def test_while_the_model_server_starts(tmp_path):
    """A stand-in for vLLM that never gets ready and has a child of its own."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{shlex.quote(sys.executable)} -c 'import time; time.sleep(200)'\n")
    python.chmod(0o755)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": 8}')
    run = started(tmp_path, LEAFINSTRUCT_VLLM_PYTHON=str(python))
    stop(run, tmp_path, signal.SIGTERM, (tmp_path / "out/.work/llm.log").exists)


def test_before_anything_is_read(tmp_path):
    with FakeOpenAI(MODEL, slow=60.0) as server:  # the probe waits
        run = started(tmp_path, "--llm-url", server.url)
        stop(run, tmp_path, signal.SIGINT, lambda: server.in_flight > 0)


def ended(body: str) -> tuple[int, str]:
    """The exit code and the output of a program with this body inside `stopped_by_signals`."""
    lines = "".join(f"\n    {line}" for line in textwrap.dedent(body).strip().splitlines())
    program = (
        "import multiprocessing, os, signal, threading, time\nfrom pipeline.launch import signals\n"
        f"signals.LOST = 0.5\nwith signals.stopped_by_signals():{lines}\nprint('went on')"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout


def test_a_signal_that_is_not_noticed_is_sent_again():
    """Another thread receives it, so that this one goes on waiting for its lock."""
    body = """
    def other():
        time.sleep(0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        time.sleep(15)
        print("not noticed for 15 s", flush=True)
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=other, daemon=True).start()
    lock.acquire(timeout=30)
    """
    assert ended(body) == (143, "")


def test_a_signal_whose_exception_is_lost_is_sent_again():
    body = """
    class Finalized:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
    Finalized()
    print("lost", flush=True)
    time.sleep(20)
    """
    assert ended(body) == (143, "lost\n")


def test_a_signal_that_is_heeded_is_not_sent_again_while_the_run_cleans_up():
    body = """
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    try:
        threading.Lock().acquire() and time.sleep(20)
    finally:
        time.sleep(3)
        print("cleaned up", flush=True)
    """
    assert ended(body) == (143, "cleaned up\n")


def test_a_signal_to_a_forked_child_is_not_its_parent_s():
    body = """
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
    child.start()
    time.sleep(0.3)
    child.terminate()
    child.join()
    time.sleep(2)
    """
    assert ended(body) == (0, "went on\n")
