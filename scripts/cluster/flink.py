"""A Flink 1.19 cluster, each part a process of its own.

The parts are a JobManager, two TaskManagers of one slot, Beam's job server and a pool of Python workers.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import job_server
import psutil
from processes import HERE, Failed, get_jars, java, process, until, wait_for

from pipeline.llm.server import free_port

JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
DRIVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
CACHE = 60_000
"""Milliseconds that a worker stays for the next stage: to start one takes seconds."""
KILL_AT = 10
"""Questions to the language model after which a TaskManager is killed; the demo asks about a hundred."""


class Cluster(NamedTuple):
    """A cluster that is running.

    flags: those of a run on it. rest: the port of the JobManager's REST interface. start_another: starts a TaskManager;
    task_managers: the first two.
    """

    flags: list[str]
    rest: int
    task_managers: list[psutil.Popen]
    start_another: Callable[[int], psutil.Popen]


def fetch() -> None:
    get_jars("flink")


@contextlib.contextmanager
def start(folder: Path, asked: Callable[[], int]) -> Iterator[list[str]]:
    with cluster(folder) as flink:
        yield flink.flags


@contextlib.contextmanager
def start_and_kill(folder: Path, asked: Callable[[], int]) -> Iterator[list[str]]:
    """As `start`, and a TaskManager is killed in the middle, with another in its place, as a service would do it.

    Raises Failed at the end of the block if the job was not restarted.
    """
    over = threading.Event()

    def kill_one() -> None:
        while asked() < KILL_AT:
            if over.wait(0.1):
                return
        flink.task_managers[0].kill()
        flink.start_another(3)

    with cluster(folder) as flink:
        killer = threading.Thread(target=kill_one)
        killer.start()
        try:
            yield flink.flags
        finally:
            over.set()
            killer.join()
        if not restarts(flink.rest):
            raise Failed("the job was not restarted")


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """All the processes, while the block runs."""
    rest, pool = free_port(), free_port()
    conf = ["--configDir", str(HERE / "conf"), f"-Drest.port={rest}", f"-Djobmanager.rpc.port={free_port()}"]
    workers = [sys.executable, str(HERE / "workers.py"), f"--service_port={pool}"]
    with contextlib.ExitStack() as stack:

        def task_manager(number: int) -> psutil.Popen:
            return stack.enter_context(java("flink", [TASK_MANAGER, *conf], folder / f"task-manager-{number}.log"))

        stack.enter_context(java("flink", [JOB_MANAGER, *conf], folder / "job-manager.log"))
        wait_for(rest)
        both = [task_manager(1), task_manager(2)]
        driver = [DRIVER, f"--flink-master=127.0.0.1:{rest}"]
        flags = stack.enter_context(job_server.start("flink", driver, folder))
        stack.enter_context(process(workers, folder / "workers.log"))
        wait_for(pool)
        until(lambda: ask(rest, "overview")["slots-total"] == 2, "two TaskManagers")
        flags += ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{pool}", "--parallelism=2"]
        flags += [f"--environment_cache_millis={CACHE}"]
        yield Cluster(flags, rest, both, task_manager)


def restarts(rest: int) -> int:
    """How many faults the finished jobs recovered from."""
    jobs = [job["id"] for job in ask(rest, "jobs")["jobs"] if job["status"] == "FINISHED"]
    return sum(len(ask(rest, f"jobs/{job}/exceptions")["exceptionHistory"]["entries"]) for job in jobs)


def ask(rest: int, path: str) -> Any:
    """An answer of the JobManager. Raises OSError."""
    with urllib.request.urlopen(f"http://127.0.0.1:{rest}/{path}", timeout=5) as reply:
        return json.load(reply)
