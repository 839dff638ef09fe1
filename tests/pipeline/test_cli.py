"""The commands as people type them, above all when they get something wrong: one sentence, exit code 2, nothing lost."""

import errno
import io
import json
import os
import pathlib
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli import main
from pipeline.dataset import ledger
from pipeline.dataset.reader import context_counts
from pipeline.storage import packs
from tests.answers import MODEL, server
from tests.pipeline.finished_run import small_run
from tests.pipeline.runs import ROOT, demo_tree

DEMO = demo_tree()


@pytest.fixture(scope="module")
def llm():
    with server() as running:
        yield running


@pytest.fixture
def config(tmp_path):
    """Write a config that differs from the demo's by `changes`; its path."""

    def write(**changes) -> str:
        tree = DEMO | {"corpora": [{"format": "native", "path": str(ROOT / "examples/corpus")}]} | changes
        tree["llm"] = tree["llm"] | {"name": MODEL}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(tree))
        return str(path)

    return write


def refused(capsys, *argv: str) -> str:
    """Run a command that must be refused; what it said."""
    assert main(list(argv)) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    sentence = said.err.strip().splitlines()[-1]
    assert sentence.startswith("leafinstruct: ")
    return sentence


@pytest.mark.parametrize(
    "corpus, words",
    [
        ("native:nowhere", "nowhere"),
        ("nativ:examples/corpus", "native, mmc4"),
        ("examples/corpus", "FORMAT:PATH"),
        ("obelics:examples/corpus", "examples/corpus"),
    ],
)
def test_a_corpus_that_cannot_be_read(capsys, config, llm, tmp_path, corpus, words):
    said = refused(
        capsys,
        "build",
        "--config",
        config(),
        "--output",
        str(tmp_path / "out"),
        "--corpus",
        corpus,
        "--llm-url",
        llm.url,
    )
    assert words in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"preset": "leafinstrukt"}, ["leafinstrukt", "leafinstruct"]),
        ({"preset": "obelics"}, ["obelics", "accept_missing"]),
        ({"shard": {}}, ["unknown key shard"]),
    ],
)
def test_a_config_that_is_wrong(capsys, config, llm, tmp_path, changes, words):
    said = refused(
        capsys, "build", "--config", config(**changes), "--output", str(tmp_path / "out"), "--llm-url", llm.url
    )
    assert all(word in said for word in words)
    assert not (tmp_path / "out").exists()


def test_a_server_that_does_not_answer(capsys, config, tmp_path):
    said = refused(
        capsys, "build", "--config", config(), "--output", str(tmp_path / "out"), "--llm-url", "http://127.0.0.1:9/v1"
    )
    assert "http://127.0.0.1:9/v1" in said and "does not answer" in said
    assert not (tmp_path / "out").exists()


def test_a_model_that_was_not_put_together(capsys, config, tmp_path):
    clip = {"model": f"local-dir:{tmp_path}/nothing"}
    with server() as llm:
        said = refused(
            capsys, "build", "--config", config(clip=clip), "--output", str(tmp_path / "out"), "--llm-url", llm.url
        )
    assert "make models" in said


def test_an_output_that_holds_something_else(capsys, config, llm, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    said = refused(capsys, "build", "--config", config(), "--output", str(output), "--llm-url", llm.url)
    assert "thesis.txt" in said
    assert os.listdir(output) == ["thesis.txt"]


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("manifest.json", '{"config_hash": "0123"}', "another config"),
        ("manifest.json", "?", "manifest.json is damaged"),
        ("manifest.json", '{"config_hash": "0", "config": {"limit": 3, "shards": {"size": 7}}}', "different: "),
        ("config.yaml", "preset: mine\n", "config.yaml"),
    ],
)
def test_an_output_of_another_config(capsys, config, llm, tmp_path, name, text, words):
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text(text)
    said = refused(capsys, "build", "--config", config(), "--output", str(output), "--llm-url", llm.url)
    assert words in said
    assert {p.name: p.read_text() for p in output.iterdir()} == {name: text}


def test_an_output_that_cannot_be_written(capsys, config, llm, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(capsys, "build", "--config", config(), "--output", str(tmp_path / "file/out"), "--llm-url", llm.url)
    assert "--output" in said


@pytest.mark.parametrize("command", ["build", "build --work", "attach", "publish", "score", "score --work", "selftest"])
def test_a_store_without_a_bucket_is_no_local_folder(capsys, config, llm, tmp_path, monkeypatch, command):
    path = config()
    monkeypatch.chdir(tmp_path)
    name, *rest = command.split()
    work, output = ("s3://", str(tmp_path / "out")) if rest else (None, "s3://")
    arguments = {
        "build": ["--config", path, "--output", output, "--llm-url", llm.url],
        "attach": ["--work", "s3://"],
        "publish": ["--work", "s3://", "--run", "0"],
        "score": [f"native:{ROOT / 'examples/corpus'}", "--config", path, "--output", output],
        "selftest": ["--config", path, "--work", "s3://"],
    }[name]
    said = refused(capsys, name, *arguments, *(["--work", work] if work else []))
    assert "s3:// is no address" in said
    assert not (tmp_path / "s3:").exists() and not (tmp_path / "out").exists()


READER = "from pipeline.corpora.parts import Format\ndef documents(record, place):\n    {}\nFORMAT = Format(documents, ('.jsonl',))\n"


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("reader_syntax", "def x(:\n", "the reader reader_syntax cannot be imported: SyntaxError: invalid syntax, "),
        ("reader_raises", "\n1 / 0\n", "ZeroDivisionError: division by zero, reader_raises.py line 2"),
        ("reader_library", "import re\nre.compile('(')\n", "reader_library.py line 2"),
    ],
)
def test_a_mistake_in_a_reader_of_ones_own_is_one_sentence(capsys, config, tmp_path, monkeypatch, name, text, words):
    (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "docs.jsonl").write_text("{}\n")
    monkeypatch.syspath_prepend(tmp_path)
    command = ["plan", "--config", config(), "--corpus", f"{name}:{tmp_path}", "--work", str(tmp_path / "work")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert words in said and said.startswith("leafinstruct: ") and said.count("\n") == 1


@pytest.mark.parametrize(
    "name, does, error",
    [("reader_none", "return None", "TypeError"), ("reader_bug", "1 / 0", "ZeroDivisionError: division by zero")],
)
def test_a_reader_of_ones_own_that_reads_nothing_is_said(capsys, config, tmp_path, monkeypatch, name, does, error):
    (tmp_path / f"{name}.py").write_text(READER.format(does))
    (tmp_path / "docs.jsonl").write_text("{}\n")
    monkeypatch.syspath_prepend(tmp_path)
    command = ["plan", "--config", config(), "--corpus", f"{name}:{tmp_path}", "--work", str(tmp_path / "work")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"none of its records can be read; the first: {tmp_path}/docs.jsonl:1: reader_error, {error}" in said
    assert f'File "{tmp_path}/{name}.py", line 3' in said or name == "reader_none"  # where it is to be mended


def test_a_bug_is_one_sentence_and_the_traceback_is_there_for_those_who_ask(capsys, config, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pipeline.corpora.check", broken)
    command = ["plan", "--config", config(), "--work", str(tmp_path / "work")]
    assert main(command) == 3
    said = capsys.readouterr().err
    assert said.startswith("leafinstruct: a bug: ZeroDivisionError: division by zero (--log-level debug shows")
    assert said.count("\n") == 1
    assert main([*command, "--log-level", "debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_lies_here_is_found_with_the_path(capsys, config, tmp_path, monkeypatch):
    path = config()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [folder for folder in sys.path if folder])
    (tmp_path / "lying_here.py").write_text(READER.format("yield from ()"))
    (tmp_path / "lying").mkdir()
    (tmp_path / "lying/here.py").write_text("import no_such_library")
    command = ["plan", "--config", path, "--work", "work", "--corpus"]
    assert "PYTHONPATH=. finds lying_here.py here" in refused(capsys, *command, "lying_here:docs")
    assert "PYTHONPATH=. finds lying/here.py here" in refused(capsys, *command, "lying.here:docs")
    assert "PYTHONPATH" not in refused(capsys, *command, "lying_there:docs")
    monkeypatch.syspath_prepend(tmp_path)
    said = refused(capsys, *command, "lying.here:docs")
    assert "No module named 'no_such_library'" in said and "finds" not in said


@pytest.mark.parametrize("flag", ["--limt=3", "--bogus", "native:examples/corpus", "-x", "--runner=Nope"])
def test_a_flag_that_nobody_knows(capsys, config, llm, tmp_path, flag):
    said = refused(capsys, "build", "--config", config(), "--output", str(tmp_path / "out"), "--llm-url", llm.url, flag)
    assert flag.split("=")[0] in said


def test_a_limit_of_nothing(capsys, config, llm, tmp_path):
    said = refused(
        capsys, "build", "--config", config(), "--output", str(tmp_path / "out"), "--limit", "0", "--llm-url", llm.url
    )
    assert "--limit" in said


@pytest.mark.parametrize("command", [["funnel"], ["explain", "an-id"], ["show", "an-id"]])
def test_views_of_a_folder_that_is_none(capsys, tmp_path, command):
    said = refused(capsys, command[0], str(tmp_path / "nowhere"), *command[1:])
    assert str(tmp_path / "nowhere") in said


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def other_columns(data: bytes) -> bytes:
    table, out = pq.read_table(io.BytesIO(data)), io.BytesIO()
    pq.write_table(table.drop_columns(["id"]), out)
    return out.getvalue()


def overwritten(data: bytes) -> bytes:
    """Its footer is right, its pages are not."""
    footer = int.from_bytes(data[-8:-4], "little") + 8
    return data[:4] + b"\xff" * (len(data) - footer - 4) + data[-footer:]


@pytest.mark.parametrize("damage", [cut, other_columns, overwritten, lambda data: b"", lambda data: b"no Parquet"])
@pytest.mark.parametrize(
    "command, name",
    [
        (["funnel"], "ledger/part-00000.parquet"),
        (["funnel"], "index.parquet"),
        (["explain", "doc-003"], "ledger/part-00000.parquet"),
        (["show", "doc-003"], "index.parquet"),
    ],
)
def test_views_of_a_damaged_table(capsys, tmp_path, command, name, damage):
    small_run(tmp_path)
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    said = refused(capsys, command[0], str(tmp_path), *command[1:])
    assert f"{tmp_path / name} is damaged" in said and "leafinstruct validate" in said


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": {}}', '{"config": {"coherence": {}}}'])
def test_explain_with_a_damaged_manifest(capsys, tmp_path, text):
    small_run(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    said = refused(capsys, "explain", str(tmp_path), "doc-003")
    assert "manifest.json is damaged" in said and "leafinstruct validate" in said


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": []}', '{"config": {"duplicates": "none"}}'])
def test_a_funnel_with_a_damaged_manifest(capsys, tmp_path, text):
    small_run(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    said = refused(capsys, "funnel", str(tmp_path))
    assert "manifest.json is damaged" in said and "leafinstruct validate" in said


def test_show_from_a_damaged_shard(capsys, tmp_path):
    small_run(tmp_path)
    for shard in (tmp_path / "shards").iterdir():
        shard.write_bytes(cut(shard.read_bytes())[:2000])
    said = refused(capsys, "show", str(tmp_path), "doc-003")
    assert ".tar is damaged" in said and "leafinstruct validate" in said


def test_the_funnel_says_how_many_have_a_context(capsys, tmp_path):
    small_run(tmp_path)
    have, lack = context_counts(str(tmp_path))
    assert main(["funnel", str(tmp_path)]) == 0
    assert f"Of the kept documents, {have} have a context and {lack} have none" in capsys.readouterr().out
    assert main(["funnel", str(tmp_path), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["with_context"], counts["without_context"], counts["kept"]) == (have, lack, have + lack)


@pytest.mark.parametrize("address", ["http://h:abc/v1", "http://[::1/v1"])
def test_an_address_that_is_none(capsys, config, tmp_path, address):
    said = refused(capsys, "build", "--config", config(), "--output", str(tmp_path / "out"), "--llm-url", address)
    assert address in said and "is not an http(s) address" in said


def test_a_full_disk_is_said_by_every_command(capsys, monkeypatch):
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packs, "flush", full)
    assert main(["corpora"]) == 4
    assert "the disk is full; free some space and run the same command again" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.skipif(
    not (ROOT / "build/models/coherence").is_dir(), reason="build/models is not there: run `make models`"
)
def test_a_full_disk(config, llm, tmp_path):
    """A disk of 1 MB fills up while pictures are stored."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        ended = subprocess.run(
            [
                sys.executable,
                str(ROOT / "beam_pipeline.py"),
                "--config",
                config(),
                "--output",
                str(disk / "out"),
                "--llm-url",
                llm.url,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 4
        assert "is full" in ended.stderr.splitlines()[-1] and "Traceback" not in ended.stderr
        assert not (disk / "out/manifest.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_validate_tells_by_its_exit_code(capsys, tmp_path):
    (tmp_path / "shards").mkdir()
    assert main(["validate", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"] and "manifest" in found["defects"][0]["kind"]


def test_validate_of_what_is_no_build_and_with_no_workers(capsys, tmp_path):
    small_run(tmp_path / "run")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/thesis.txt").write_text("mine")
    assert "docs has nothing of a build" in refused(capsys, "validate", str(tmp_path / "docs"))
    for workers in ("0", "-1"):
        said = refused(capsys, "validate", str(tmp_path / "run"), "--deep", "--workers", workers)
        assert f"--workers must be at least 1, not {workers}" in said
    (tmp_path / "run/manifest.json").unlink()
    assert main(["validate", str(tmp_path / "run")]) == 1
    assert "the build did not finish" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["score", "docs"], ["decontaminate", "docs"]])
def test_a_corpus_without_a_format_names_no_option_that_the_command_lacks(capsys, tmp_path, command):
    said = refused(capsys, *command, "--output", str(tmp_path / "out"))
    assert "a corpus is given as FORMAT:PATH" in said and "--corpus" not in said


@pytest.mark.parametrize("code, words", [(143, "stopped; what was finished is kept, run the same command"), (2, "")])
def test_sigterm_is_said_like_ctrl_c(capsys, monkeypatch, code, words):
    def stop(*_, **__):
        sys.exit(code)

    monkeypatch.setattr("pipeline.launch.audit.write_page", stop)
    with pytest.raises(SystemExit) as left:
        main(["audit", "folder"])
    assert left.value.code == code
    said = capsys.readouterr().err
    assert (words in said) and bool(said) is bool(words)


def test_help_names_every_command():
    said = subprocess.run([sys.executable, "-m", "pipeline.cli", "--help"], cwd=ROOT, capture_output=True, text=True)
    for command in ("build", "validate", "funnel", "explain", "show", "calibrate"):
        assert command in said.stdout
    assert pathlib.Path(ROOT / "beam_pipeline.py").is_file()


BROKEN = "def broken(page):\n    raise AttributeError(f'{page.document.id} has no such thing')\n"


@pytest.fixture
def a_bug(config, tmp_path, monkeypatch) -> str:
    """A configuration with a rule that is a bug; its module is on the path."""
    (tmp_path / "broken_rules.py").write_text(BROKEN)
    (tmp_path / "broken.yaml").write_text("document: [{rule: broken_rules.broken}]")
    monkeypatch.syspath_prepend(tmp_path)
    return config(preset=str(tmp_path / "broken.yaml"))


def test_a_bug_stops_the_run_with_a_sentence_a_traceback_in_the_log_and_exit_code_3(a_bug, llm, tmp_path, capsys):
    assert main(["build", "--config", a_bug, "--output", str(tmp_path / "out"), "--llm-url", llm.url]) == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("leafinstruct: a bug stopped the run at the stage “Filter text”, document ")
    assert "has no such thing; the traceback is in" in said
    log = (tmp_path / "out/.work/leafinstruct.log").read_text()
    assert "Traceback" in log and "broken_rules.py" in log
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_run_that_keeps_going_makes_rows_of_bugs_and_its_exit_code_tells(a_bug, llm, tmp_path, capsys):
    command = ["build", "--config", a_bug, "--output", str(tmp_path / "out"), "--llm-url", llm.url, "--keep-going"]
    assert main(command) == 2  # nothing was kept
    assert "no document was kept" in capsys.readouterr().err
    assert main([*command, "--allow-empty"]) == 3
    assert "documents failed because of a bug; tracebacks are in the ledger" in capsys.readouterr().err
    row = next(o for o in ledger.read_outcomes(str(tmp_path / "out")) if o.stage == "filter_text")
    assert row.error == "bug:AttributeError" and "broken_rules.py" in row.detail


@pytest.mark.parametrize("level, shown", [("warning", False), ("debug", True)])
def test_the_log_level_decides_what_the_terminal_shows(a_bug, llm, tmp_path, capsys, level, shown):
    main(["build", "--config", a_bug, "--output", str(tmp_path / "out"), "--llm-url", llm.url, "--log-level", level])
    assert ("Traceback" in capsys.readouterr().err) is shown
