"""The parts of `make cluster-test` that need no engine."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types

import psutil
import pytest

from pipeline.llm.server import free_port
from tests.scripts.conftest import ROOT

CLUSTER = ROOT / "scripts/cluster"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
INSIDE = """
import socket, alone
alone.begin()
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
print([name for _, name in socket.if_nameindex()])
"""


def module(name: str, monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(CLUSTER)
    return importlib.import_module(name)


def test_a_process_ends_with_its_block_and_so_does_what_it_started(tmp_path, monkeypatch):
    processes = module("processes", monkeypatch)
    log = tmp_path / "log"
    with pytest.raises(ZeroDivisionError), processes.process([sys.executable, "-c", PARENT], log) as parent:
        processes.until(lambda: log.read_text().endswith("\n"), "a child")
        child = psutil.Process(int(log.read_text()))
        assert parent.is_running() and child.is_running()
        raise ZeroDivisionError
    assert not parent.is_running()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_does_not_come_is_named(monkeypatch):
    processes = module("processes", monkeypatch)
    monkeypatch.setattr(processes, "START", 0.5)
    with pytest.raises(processes.Failed, match="a process on port"):
        processes.wait_for(free_port())


def test_a_program_that_is_not_installed_is_named(monkeypatch, tmp_path):
    processes = module("processes", monkeypatch)
    monkeypatch.setattr(processes, "BUILD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(processes.Missing, match="java is not installed"):
        processes.get_jars("flink")
    with pytest.raises(processes.Missing, match="mvn is not installed"):
        processes.get("mvn", ["-v"])


def test_its_network_has_a_loopback_interface_and_nothing_else(monkeypatch):
    alone = module("alone", monkeypatch)
    if not alone.is_possible():
        pytest.skip("this machine does not let a program have a network of its own (unshare)")
    command = [sys.executable, "-c", f"import alone; alone.run('-c', {INSIDE!r})"]
    done = subprocess.run(command, cwd=CLUSTER, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['lo']\n", "")


def test_an_engine_that_nobody_knows_is_refused():
    done = subprocess.run([sys.executable, str(CLUSTER), "samza"], cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2 and "no engine is called samza" in done.stderr
