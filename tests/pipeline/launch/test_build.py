"""The whole pipeline on the example corpus: real readers, pictures, dual encoder, tars and runners. Only the language
model is a stand-in, because here it has to give the same answers every time, and to be counted and broken."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import psutil
import pytest
import yaml

from pipeline.dataset import ledger
from pipeline.graph import grouping
from pipeline.launch.build import build
from schemas.errors import UserError
from schemas.records import Drop
from schemas.validate import validate
from tests.answers import MODEL, server
from tests.pipeline.runs import COHERENCE, ROOT, demo_config

pytestmark = pytest.mark.skipif(not COHERENCE.is_dir(), reason="build/models is not there: run `make models`")

TWO_WORKERS = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
PORTABLE = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> str:
    """The demo's configuration, but for the model's name and absolute paths."""
    return demo_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def first(config, tmp_path_factory) -> pathlib.Path:
    """A finished build in memory, with its work folder."""
    folder = tmp_path_factory.mktemp("first")
    with server() as llm:
        build(config, str(folder / "out"), llm_url=llm.url, work=str(folder / "work"))
    return folder


def manifest(folder: pathlib.Path) -> dict:
    return json.loads((folder / "out/manifest.json").read_text())


def outcomes(folder: pathlib.Path) -> dict[str, ledger.Outcome]:
    return {o.id: o for o in ledger.read_outcomes(str(folder / "out"))}


def test_what_comes_out_is_valid(first):
    assert validate(first / "out", deep=True) == []


def test_every_record_of_the_corpus_has_one_outcome(first):
    lines = (ROOT / "examples/corpus/docs.jsonl").read_text().splitlines()
    rows = list(ledger.read_outcomes(str(first / "out")))
    assert len(rows) == len({row.id for row in rows}) == len(lines)
    funnel = ledger.funnel(rows).to_json()
    assert funnel["input"] == len(lines)
    assert funnel["input"] == funnel["kept"] + sum(funnel["dropped"].values()) + sum(funnel["failed"].values())
    assert funnel["kept"] == manifest(first)["counts"]["instances"] > 20


@pytest.mark.parametrize(
    "id_, end",
    [
        ("bad-too-few-words", ("dropped", "filter_text", "word_count")),
        ("bad-repetition", ("dropped", "filter_text", "duplicate_lines")),
        ("bad-table-of-numbers", ("dropped", "filter_text", "stop_word_share")),
        ("bad-shouting", ("dropped", "filter_text", "upper_case")),
        ("bad-exact-duplicate", ("dropped", "deduplicate", "duplicate_text")),
        ("bad-no-images", ("dropped", "filter_headers", "image_count")),
        ("bad-tiny-pictures", ("dropped", "filter_headers", "image_count")),
        ("bad-extreme-aspect", ("dropped", "filter_headers", "image_count")),
        ("bad-truncated-jpeg", ("failed", "store_images", "truncated")),
        ("bad-missing-picture", ("failed", "store_images", "missing")),
    ],
)
def test_planted_faults_end_where_they_should(first, id_, end):
    row = outcomes(first)[id_]
    assert (row.status, row.stage, row.rule or row.error) == end


@pytest.mark.parametrize(
    "id_, lost",
    [
        ("odd-16-bit-png", []),
        ("odd-cmyk-jpeg", []),
        ("odd-wrong-extension", []),
        ("odd-animated-gif", [("store_images", "animated")]),
        ("odd-one-banner", [("filter_headers", "aspect_ratio")]),
        ("odd-same-picture-twice", [("filter_images", "near_duplicate")]),
    ],
)
def test_odd_pictures_are_normalised_or_taken_out(first, id_, lost):
    row = outcomes(first)[id_]
    assert [(i.stage, i.drop.rule) for i in row.dropped_images if i.drop.rule != "matched_score"] == lost
    assert row.status == "kept" or row.stage in (
        "filter_images",
        "filter_coherence",
        "filter_ratings",
        "write_instruction",
    )


def test_the_ledger_says_why_a_document_that_ends_for_want_of_pictures_lost_them(first):
    row = outcomes(first)["bad-tiny-pictures"]
    assert [(i.index, i.stage, i.drop) for i in row.dropped_images] == [
        (n, "filter_headers", Drop("shorter_side", 48.0, 80.0)) for n in range(3)
    ]
    assert row.images == 0


def test_reader_faults_name_their_line(first):
    failed = {o.error: o for o in outcomes(first).values() if o.stage == "read"}
    assert set(failed) == {"bad_json", "bad_record"}
    assert all(o.location.rsplit("docs.jsonl:")[1].isdigit() for o in failed.values())


def test_the_same_bytes_from_the_portable_job_service(first, tmp_path):
    """Nothing is shared with the first run but its scores: those are a model's, and cached. Few questions at once."""
    shutil.copytree(first / "work/scores", tmp_path / "work/scores")
    config = demo_config(tmp_path, llm={"concurrency": 4, "in_flight": 8}, limit=None)
    with server(slow=0.01) as llm:
        build(config, str(tmp_path / "out"), llm_url=llm.url, work=str(tmp_path / "work"), beam_flags=PORTABLE)
        assert 1 < llm.most_in_flight <= 8
    assert (tmp_path / "out/manifest.json").read_bytes() == (first / "out/manifest.json").read_bytes()
    assert validate(tmp_path / "out", deep=True) == []


def data(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """All files but those that tell how the run went."""
    return {
        p: p.read_bytes()
        for p in (folder / "out").rglob("*")
        if p.is_file() and p.name not in ("report.html", "metrics.json", "run.json")
    }


def test_a_second_run_asks_nothing_and_changes_nothing(config, first):
    before = data(first)
    with server() as llm:
        build(config, str(first / "out"), llm_url=llm.url, work=str(first / "work"))
        assert len(llm.requests) == 1  # the first question, which finds out what the server can do
    assert data(first) == before


def test_the_metrics_are_those_of_the_ledger_and_stand_in_the_report(first):
    funnel = ledger.funnel(ledger.read_outcomes(str(first / "out")), ledger.run_stages(manifest(first)))
    found = json.loads((first / "out/metrics.json").read_text())
    assert set(found) == {stage.name for stage in funnel.stages}
    for stage in funnel.stages:
        assert found[stage.name].get("passed", 0) == stage.left
        assert found[stage.name].get("dropped", 0) == sum(stage.dropped.values())
        assert found[stage.name].get("failed", 0) == sum(stage.failed.values())
    rated = next(stage.entered for stage in funnel.stages if stage.name == "rate_text")
    assert found["rate_text"]["questions"] == found["rate_text"]["milliseconds"]["count"] == rated
    assert found["score_coherence"]["batch_documents"]["sum"] == found["score_coherence"]["passed"]
    assert found["store_images"]["bytes_read"] > 1_000_000
    assert f"questions {rated:,}" in (first / "out/report.html").read_text()


def test_nothing_of_one_run_alone_is_left(first):
    assert not (first / "out/.staging").exists()
    assert not (first / "work/instances").exists()
    assert not list((first / "work/groups").iterdir())


def test_a_local_run_groups_in_files_and_removes_those_of_a_run_that_was_killed(config, tmp_path, monkeypatch):
    written = []
    flush = grouping._Write._written
    monkeypatch.setattr(grouping._Write, "_written", lambda self: written.append(flush(self)) or written[-1])
    left = tmp_path / "work/groups/of a killed run"
    left.mkdir(parents=True)
    (left / "some").write_bytes(b"-")
    (tmp_path / "work/job.json").touch()  # every run has left one
    with server() as llm:
        build(
            config,
            str(tmp_path / "out"),
            llm_url=llm.url,
            corpora=[f"native:{ROOT}/examples/corpus"],
            limit=5,
            work=str(tmp_path / "work"),
            allow_empty=True,
        )
    assert {pathlib.Path(path).parents[1] for path in written} == {tmp_path / "work/groups"} and len(written) > 5
    assert not list((tmp_path / "work/groups").iterdir())


def test_a_run_that_was_cut_off_goes_on_where_it_was(config, first, tmp_path):
    """The server answers ten questions for ratings and nothing else: those ten are not asked again."""
    corpus = [f"native:{ROOT}/examples/corpus"]
    rated = []

    def mortal(body):
        rates = "fluency" in json.dumps(body["response_format"])
        if rates and len(rated) < 10:  # instructions are asked for meanwhile
            rated.append(body)
            return answer(body)
        return "not JSON"

    from tests.answers import FakeOpenAI, answer

    with FakeOpenAI(MODEL, reply=mortal) as llm:
        with pytest.raises(UserError, match="no document was kept"):
            build(config, str(tmp_path / "out"), llm_url=llm.url, corpora=corpus)
    assert not (tmp_path / "out/manifest.json").exists()
    with server() as llm:
        build(config, str(tmp_path / "out"), llm_url=llm.url, corpora=corpus)
        again = {json.dumps(body["messages"]) for body in llm.requests}
    answered = {json.dumps(body["messages"]) for body in rated[1:]}  # but for the first, which is no document's
    assert len(answered) == 9 and not again & answered
    assert manifest(tmp_path)["counts"] == manifest(first)["counts"]


def test_a_corpus_that_changed_replaces_a_finished_folder_only_when_told_to(config, tmp_path):
    shutil.copytree(ROOT / "examples/corpus", tmp_path / "corpus")

    def run(**how):
        with server() as llm:
            corpora = [f"native:{tmp_path}/corpus"]
            build(config, str(tmp_path / "out"), llm_url=llm.url, corpora=corpora, limit=2, allow_empty=True, **how)

    run()
    before = data(tmp_path)
    with open(tmp_path / "corpus/docs.jsonl", "ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match="corpus has changed since .*--replace. Nothing was overwritten"):
        run()
    assert {p: d for p, d in data(tmp_path).items() if p in before} == before
    assert validate(tmp_path / "out", deep=True) == []
    run(replace=True)
    assert manifest(tmp_path)["inputs"] != json.loads(before[tmp_path / "out/manifest.json"])["inputs"]
    assert validate(tmp_path / "out", deep=True) == []


def test_a_work_folder_on_another_disk(config, first, tmp_path):
    """Publishing moves files, and must not need both folders on one disk."""
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second disk here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as work, server() as llm:
        shutil.copytree(first / "work/scores", f"{work}/scores")
        build(config, str(tmp_path / "out"), llm_url=llm.url, work=work)
    assert (tmp_path / "out/manifest.json").read_bytes() == (first / "out/manifest.json").read_bytes()


def test_shoddy_text_is_dropped_by_its_rating(config, tmp_path):
    """A good document of the examples with the word that the stand-in rates 1; and nothing kept is a result too."""
    lines = (ROOT / "examples/corpus/docs.jsonl").read_text().splitlines()
    record = next(json.loads(line) for line in lines if '"kitchen-lemonade"' in line)
    record["segments"].insert(1, {"text": "SHODDY work follows here."})
    (tmp_path / "c").mkdir()
    (tmp_path / "c/docs.jsonl").write_text(json.dumps(record))
    shutil.copytree(ROOT / "examples/corpus/images", tmp_path / "c/images")
    tree = yaml.safe_load(pathlib.Path(config).read_text())
    tree["coherence"] |= {"matched_at_least": -1.0, "mean_at_least": -1.0, "margin_at_least": -2.0}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    with server() as llm:
        build(
            str(tmp_path / "config.yaml"),
            str(tmp_path / "out"),
            llm_url=llm.url,
            corpora=[f"native:{tmp_path}/c"],
            allow_empty=True,
        )
    row = outcomes(tmp_path)["kitchen-lemonade"]
    assert (row.status, row.stage, row.rule, row.value) == ("dropped", "filter_ratings", "fluency", 1.0)
    assert manifest(tmp_path)["counts"]["instances"] == 0 and validate(tmp_path / "out", deep=True) == []


def test_any_server_will_do(config, tmp_path, capsys):
    """A server with one model of another name is asked, and the records say so."""
    with server("somebody-elses-8b") as llm:
        build(config, str(tmp_path / "out"), llm_url=llm.url, limit=12)
    assert "somebody-elses-8b" in capsys.readouterr().err
    assert manifest(tmp_path)["provenance"]["llm"] == "somebody-elses-8b"
    assert validate(tmp_path / "out", deep=True) == []


def test_no_state_and_no_timers(first):
    """What every runner can do, and no more."""
    import apache_beam as beam

    from pipeline import dag
    from tests.pipeline.runs import a_run

    p = beam.Pipeline(runner="FnApiRunner")
    dag.build(p, dataclasses.replace(a_run(first)))
    assert set(p.to_runner_api().requirements) <= {"beam:requirement:pardo:splittable_dofn:v1"}


def test_a_worker_that_is_killed_loses_nothing(config, first, tmp_path):
    """The run goes on with the other worker, or says what happened and is given again: either way the same bytes."""
    shutil.copytree(first / "work/scores", tmp_path / "work/scores")
    with server() as llm:
        command = [
            sys.executable,
            str(ROOT / "beam_pipeline.py"),
            "--config",
            config,
            "--output",
            str(tmp_path / "out"),
            "--work",
            str(tmp_path / "work"),
            "--llm-url",
            llm.url,
            *TWO_WORKERS,
        ]
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = []
        listener = threading.Thread(target=lambda: said.extend(run.stderr))
        listener.start()
        while not (tmp_path / "work/images/pictures").is_dir() and run.poll() is None:  # both are at work
            time.sleep(0.05)
        workers = [p for p in psutil.Process(run.pid).children() if "sdk_worker_main" in " ".join(p.cmdline())]
        assert len(workers) == 2
        workers[0].kill()
        try:
            code = run.wait(240)
        finally:
            run.kill()
            listener.join()
            run.stderr.close()
        if code:
            assert code == 4 and said[-1].startswith("leafinstruct: ")
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "out/manifest.json").read_bytes() == (first / "out/manifest.json").read_bytes()
