"""Runs whose launcher was killed after the graph, and who publishes them: `leafinstruct attach` and `publish --run`."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc as services

from benchmarks.memory import HashScorer
from pipeline.cli import main
from pipeline.coherence import scorer
from pipeline.launch import attach, job, publish
from pipeline.launch.attach import publish_run
from pipeline.launch.build import build
from pipeline.launch.lease import Held
from pipeline.storage import remote
from pipeline.storage.folder import opened
from schemas.errors import ServiceError, UserError
from schemas.validate import examine, validate
from tests.answers import server
from tests.pipeline.runs import COHERENCE, ROOT, demo_config
from tests.pipeline.storage.conftest import store  # noqa: F401

pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")

KILLED = """
import os, signal, sys
from benchmarks.memory import HashScorer
from pipeline.coherence import scorer
from pipeline.launch import build, publish
scorer.Scorer = HashScorer
publish.publish = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
config, folder, url = sys.argv[1:]
build.build(config, f"{folder}/out", llm_url=url, work=f"{folder}/work")
"""
HOLD = """
import sys
from pipeline.launch.lock import exclusive_lock
with exclusive_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
NAMES = ("shards/leafinstruct-00000.tar", "ledger/part-00000.parquet", "manifest.json")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> str:
    return demo_config(tmp_path_factory.mktemp("config"), limit=5, shards={"size": 2})


@pytest.fixture(scope="module")
def expected(config, tmp_path_factory) -> bytes:
    """The manifest of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch, server() as llm:
        patch.setattr(scorer, "Scorer", HashScorer)
        build(config, str(folder / "out"), llm_url=llm.url, work=str(folder / "work"))
    return (folder / "out/manifest.json").read_bytes()


@pytest.fixture(scope="module")
def killed(config, tmp_path_factory) -> pathlib.Path:
    """The folders of a run whose launcher was killed between the graph and publishing."""
    folder = tmp_path_factory.mktemp("killed")
    with server() as llm:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, config, str(folder), llm.url], cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (folder / "out/manifest.json").exists()
    return folder


@pytest.fixture
def left(killed, tmp_path) -> pathlib.Path:
    """A copy of these folders."""
    shutil.copytree(killed, tmp_path / "left")
    change(tmp_path / "left", output=str(tmp_path / "left/out"))
    return tmp_path / "left"


def change(folder: pathlib.Path, **fields) -> None:
    """Change the record of the run."""
    job.save(dataclasses.replace(job.load(f"{folder}/work"), **fields), f"{folder}/work")


def run_of(folder: pathlib.Path) -> job.Job:
    return job.load(f"{folder}/work")


def staging(folder: pathlib.Path) -> pathlib.Path:
    return folder / "out/.staging" / run_of(folder).id


def publish_it(folder: pathlib.Path) -> int:
    return main(["publish", "--work", os.path.join(folder, "work", ""), "--run", run_of(folder).id])


def contents(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    return {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}


def test_publishing_without_the_launcher_gives_its_bytes_and_once_more_changes_nothing(left, expected, capsys):
    assert publish_it(left) == 0
    said = capsys.readouterr().out
    assert "5 read = " in said and f"Open {left}/out/report.html" in said
    assert (left / "out/manifest.json").read_bytes() == expected
    assert validate(left / "out", deep=True) == []
    assert not (left / "out/.staging").exists()
    before = contents(left)
    for command in ("publish", "attach"):
        arguments = ["--run", run_of(left).id] if command == "publish" else []
        assert main([command, "--work", f"{left}/work", *arguments]) == 0
        assert capsys.readouterr().out == f"run {run_of(left).id} is published in {left}/out\n"
    assert contents(left) == before


def test_attach_publishes_what_a_launcher_left(left, expected, capsys):
    assert main(["attach", "--work", f"{left}/work"]) == 0
    assert (left / "out/manifest.json").read_bytes() == expected
    assert f"run {run_of(left).id} -> {left}/out, started by process" in capsys.readouterr().err


def test_a_build_gives_a_left_run_up_and_notes_that_it_has_published_its_own(
    left, config, expected, capsys, monkeypatch
):
    monkeypatch.setattr(scorer, "Scorer", HashScorer)
    before = run_of(left).id
    change(left, engine_job="job-1")
    with server() as llm:
        build(config, str(left / "out"), llm_url=llm.url, work=str(left / "work"))
    assert f"run {before} is given up: job job-1 on the engine may still be going on" in capsys.readouterr().err
    assert (left / "out/manifest.json").read_bytes() == expected
    assert run_of(left).published and run_of(left).id != before
    assert main(["publish", "--work", f"{left}/work", "--run", before]) == 2
    assert main(["attach", "--work", f"{left}/work"]) == 0


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda s: (s / "end.json").unlink(), "its job has not come to its end .* and 1 part of the ledger are there"),
        (shutil.rmtree, "its job has not come to its end .0 shards and 0 parts of the ledger are there"),
        (lambda s: (s / NAMES[0]).unlink(), "missing or cut: shards/leafinstruct-00000.tar"),
        (lambda s: (s / NAMES[1]).write_bytes(b"PAR1"), "missing or cut: ledger/part-00000.parquet"),
        (lambda s: (s / "results/part-00000.parquet.json").unlink(), "missing or cut: 1 of 1 part of the ledger"),
        (lambda s: (s / "results/leafinstruct-00000.tar.json").unlink(), "leafinstruct-00000.tar, . of . instances in"),
        (lambda s: (s / "end.json").write_text('{"parts": 1, "documents": 6, "kept": 3}'), "rows of the ledger"),
    ],
)
def test_results_that_are_not_whole_are_not_published(left, capsys, damage, said):
    damage(staging(left))
    assert publish_it(left) == 4
    error = capsys.readouterr().err
    assert re.search(f"the results of run [0-9a-f]{{12}} are not whole: .*{said}", error)
    assert not (left / "out/manifest.json").exists() and not (left / "out/shards").exists()


def test_attach_waits_for_a_job_that_somebody_starts_from_a_template(left, expected, capsys, monkeypatch):
    end = staging(left) / "end.json"
    end.rename(left / "end.json")
    change(left, template=True)

    def finish(seconds: float) -> None:
        if seconds == 0.1 and not end.exists():
            (left / "end.json").rename(end)

    monkeypatch.setattr(attach.time, "sleep", finish)
    attach.attach(f"{left}/work", pause=0.1)
    assert "a job of its template: unknown; 3 shards and 1 part of the ledger" in capsys.readouterr().err
    assert (left / "out/manifest.json").read_bytes() == expected


@pytest.mark.parametrize("moves", range(0, 9, 2))
def test_publishing_that_was_cut_short_goes_on_where_it_was(left, expected, monkeypatch, capsys, moves):
    plain, done = publish._rename, []

    def rename(source, target):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(source)
        plain(source, target)

    monkeypatch.setattr(publish, "_rename", rename)
    assert publish_it(left) == 130
    assert not (left / "out/manifest.json").exists()
    monkeypatch.setattr(publish, "_rename", plain)
    assert publish_it(left) == 0
    assert "5 read = " in capsys.readouterr().out
    assert (left / "out/manifest.json").read_bytes() == expected
    assert validate(left / "out", deep=True) == []


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_launcher_that_has_lost_its_folder_publishes_nothing_more(left, calls):
    asked = []

    def alone() -> None:
        asked.append(1)
        if len(asked) > calls:
            raise ServiceError("this run has lost its lease")

    run = job.restored(run_of(left), f"{left}/work")
    with pytest.raises(ServiceError, match="lost its lease"):
        publish.publish(run, {}, inputs=run_of(left).inputs, alone=alone)
    assert not (left / "out/manifest.json").exists()
    assert calls or not (left / "out/shards").exists()


def test_a_run_that_is_not_the_last_one_of_the_folder_is_refused(left, capsys):
    assert main(["publish", "--work", f"{left}/work", "--run", "0" * 12]) == 2
    assert f"the last run in {left}/work is {run_of(left).id}, not 000000000000" in capsys.readouterr().err
    assert main(["attach", "--work", f"{left}/nowhere"]) == 2
    assert "nowhere has no job.json; give the --work of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"libraries": {"pyarrow": "1.0"}}, "was started with apache-beam None, and this is"),
        ({"signed": True}, "was started with a key: give the same one with --sign"),
        ({"provenance": {"rate_prompt": "0" * 16}}, "are not those that run .* was started with"),
        ({"provenance": {"config": "0" * 64}}, "preset or a word list was changed"),
    ],
)
def test_what_would_give_other_bytes_is_refused(left, fields, said):
    if "provenance" in fields:
        fields = {"provenance": run_of(left).provenance | fields["provenance"]}
    change(left, **fields)
    with pytest.raises(UserError, match=said):
        publish_run(f"{left}/work", run_of(left).id)
    assert not (left / "out/manifest.json").exists()


@pytest.fixture
def launcher(left) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the folders, as a launcher does."""
    command = [sys.executable, "-c", HOLD, str(left / "work")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def attached(folder: pathlib.Path) -> concurrent.futures.Future:
    """`attach` in a thread."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(attach.attach, f"{folder}/work", pause=0.02)
    pool.shutdown(wait=False)
    return future


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_while_its_launcher_goes_on_a_run_is_waited_for_and_not_published(left, launcher, capfd, expected):
    with pytest.raises(Held, match="another run is using"):
        publish_run(f"{left}/work", run_of(left).id)
    waiting = attached(left)
    until(lambda: "waiting: another run is using" in capfd.readouterr().err)
    assert not waiting.done() and not (left / "out/manifest.json").exists()
    launcher.kill()
    assert waiting.result(60)[1].funnel
    assert (left / "out/manifest.json").read_bytes() == expected


def test_a_run_that_its_launcher_publishes_is_not_published_again(left, launcher):
    waiting = attached(left)
    change(left, published=True)
    launcher.kill()
    assert waiting.result(60)[1] is None
    assert not (left / "out/manifest.json").exists()


def test_a_run_that_gave_way_to_another_is_not_published(left, launcher, capfd):
    waiting = attached(left)
    until(lambda: "waiting" in capfd.readouterr().err)
    change(left, id="another-one")
    launcher.kill()
    with pytest.raises(UserError, match=r"run [0-9a-f]{12} was given up: run another-one has begun"):
        waiting.result(60)


class JobServer(services.JobServiceServicer):
    """Beam's job server, as far as `attach` asks it."""

    def __init__(self) -> None:
        self.state, self.asked = api.JobState.RUNNING, 0

    def GetState(self, request, context):
        self.asked += 1
        assert request.job_id == "job-1"
        return api.JobStateEvent(state=self.state)

    def GetJobMetrics(self, request, context):
        return api.GetJobMetricsResponse()


@pytest.fixture
def engine(left) -> Iterator[JobServer]:
    """An engine whose job goes on: its last file is not there yet."""
    jobs, server = JobServer(), grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    services.add_JobServiceServicer_to_server(jobs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    change(left, engine_job="job-1", endpoint=f"127.0.0.1:{port}")
    (staging(left) / "end.json").rename(left / "end.json")
    yield jobs
    server.stop(None).wait()


def finish(folder: pathlib.Path) -> None:
    (folder / "end.json").rename(staging(folder) / "end.json")


def test_a_job_that_goes_on_without_its_launcher_is_waited_for(left, engine, expected, capfd):
    waiting = attached(left)
    until(lambda: engine.asked > 2)
    assert not waiting.done()
    finish(left)
    waiting.result(60)
    assert (left / "out/manifest.json").read_bytes() == expected
    assert "job job-1 on the engine: running; " in capfd.readouterr().err


def test_without_an_answer_of_the_engine_the_last_file_decides(left, engine, expected, capfd):
    change(left, endpoint="")
    waiting = attached(left)
    until(lambda: "job job-1 on the engine: unknown; " in capfd.readouterr().err)
    finish(left)
    waiting.result(60)
    assert (left / "out/manifest.json").read_bytes() == expected and not engine.asked


@pytest.mark.parametrize(
    "state, said", [(api.JobState.FAILED, "the runner stopped"), (api.JobState.DONE, "has not come to its end")]
)
def test_a_job_that_failed_or_lost_its_results_is_not_waited_for(left, engine, state, said):
    engine.state = state
    with pytest.raises(ServiceError, match=said):
        attach.attach(f"{left}/work", pause=0.02)
    assert not (left / "out/manifest.json").exists()


def test_a_run_in_a_bucket_is_published_without_its_launcher(store, config, expected, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(scorer, "Scorer", HashScorer)
    out, work = f"{store}/left/out", f"{store}/left/work"

    def killed(*_, **__):
        assert json.loads(remote.get(f"{out}/.lease"))["run"] == job.load(work).id
        raise SystemExit

    with monkeypatch.context() as patch, server() as llm:
        patch.setattr(publish, "publish", killed)
        with pytest.raises(SystemExit):
            build(config, out, llm_url=llm.url, work=work)
    end = next(path for path in remote.find(f"{out}/.staging/*/end.json"))
    written = remote.get(end)
    remote.remove(end)
    job.save(dataclasses.replace(job.load(work), engine_job="job-1"), work)
    monkeypatch.setattr(attach.time, "sleep", lambda _: remote.put_if_absent(end, written))
    assert main(["attach", "--work", work]) == 0
    line = r"unknown; 3 shards and 1 part of the ledger; images \d+ packs? of [\d.]+ MB, scores \d+ pack"
    assert re.search(line, capsys.readouterr().err)
    assert remote.get(f"{out}/manifest.json") == expected
    assert list(examine(opened(out)).defects) == []
    assert remote.find(f"{store}/left/**.lease") == remote.find(f"{out}/.staging/**") == []
