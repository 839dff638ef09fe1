"""What is sound is valid, what is checked in part says so, and what strangers wrote is printed without harm. (Planted
damage: test_damage_*.py. Any damage at all: test_validate_any.py.)"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest

from pipeline.cli import main
from schemas.checks import parallel, shard
from schemas.errors import UserError
from schemas.folder import LocalFolder
from schemas.report import FORMATS
from schemas.validate import Options, Report, examine, validate
from tests.schemas import example
from tests.schemas.damage import L0, L1, S0, S1, S2, I, M, configured, edit, first, index, places

DEEP = Options(deep=True)


def test_undamaged_set_has_no_defects(good):
    assert validate(good) == []
    assert validate(good, deep=True) == []


def test_the_summary_of_an_opt_out_list_is_in_the_manifest_alone(folder):
    configured("opt_outs", value="0" * 64)(folder)
    assert validate(folder, deep=True) == []


def test_empty_set_is_valid(tmp_path):
    example.write(tmp_path, count=0)
    assert validate(tmp_path, deep=True) == []


@pytest.mark.parametrize("name", [".work", ".staging", ".git", ".cache"])
def test_caches_version_control_and_a_lease_are_left_alone(folder, name):
    (folder / name).mkdir()
    os.mkfifo(folder / name / "pipe")
    (folder / ".gitattributes").write_text("*.tar filter=lfs\n")
    (folder / ".lease").write_text("{}")
    assert validate(folder, deep=True) == []


def test_a_folder_reached_through_a_link_is_the_same(good, tmp_path):
    (tmp_path / "link").symlink_to(good)
    assert validate(tmp_path / "link", deep=True) == []


def test_no_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        validate(tmp_path / "nothing")


def test_defect_says_where_in_one_line(folder):
    index(folder, first(key="0" * 20))
    assert (
        str(validate(folder)[0]) == f"{I} leafinstruct-00000.tar {'0' * 20} /key: is not the key of 'doc-2' [index-key]"
    )


def test_the_cheap_mode_says_what_it_does_not_read(good):
    report = examine(LocalFolder(str(good)))
    assert set(report.checked) == {"README.md", "config.yaml", "report.html", "metrics.json"}
    assert report.unchecked == ("the bytes of shards, index and ledger (--deep reads them)",)


def test_the_deep_mode_reads_everything(good):
    report = examine(LocalFolder(str(good)), DEEP)
    assert set(report.checked) == {I, L0, L1, "README.md", "config.yaml", "report.html", "metrics.json", S0, S1, S2}
    assert report.unchecked == ()


@pytest.mark.parametrize(
    "options, read",
    [
        (dict(first=1, last=1), {S1}),
        (dict(first=1), {S1, S2}),
        (dict(first=1, last=99), {S1, S2}),
        (dict(sample=0.01), 1),
        (dict(sample=0.5), 2),
        (dict(sample=1.0), 3),
    ],
)
def test_a_part_of_the_shards(good, options, read):
    report = examine(LocalFolder(str(good)), dataclasses.replace(DEEP, **options))
    found = {name for name in report.checked if name.startswith("shards/")}
    assert found == read or len(found) == read
    left = 3 - len(found)
    assert report.unchecked == ((f"{left} of 3 shards",) if left else ())
    assert found == {
        n
        for n in examine(LocalFolder(str(good)), dataclasses.replace(DEEP, **options)).checked
        if n.startswith("shards/")
    }  # the same ones again


def test_damage_in_a_shard_is_found_where_that_shard_is_read(folder):
    data = bytearray((folder / S1).read_bytes())
    data[600] ^= 1
    (folder / S1).write_bytes(data)
    assert not examine(LocalFolder(str(folder)), dataclasses.replace(DEEP, first=0, last=0)).defects
    assert examine(LocalFolder(str(folder)), dataclasses.replace(DEEP, first=1, last=1)).defects


def test_a_shard_that_is_not_there_cannot_be_asked_for(good):
    with pytest.raises(UserError, match="there is no shard 7: the folder has 3"):
        examine(LocalFolder(str(good)), dataclasses.replace(DEEP, first=7))


def test_workers_find_the_same(folder):
    edit(folder, 1, lambda value: value["scores"].update(coherence=0.5))
    edit(folder, 6, lambda value: value["provenance"].update(llm="gpt"))
    alone = examine(LocalFolder(str(folder)), DEEP)
    assert len(alone.defects) == 2
    assert examine(LocalFolder(str(folder)), dataclasses.replace(DEEP, workers=2)) == alone


def _killed(folder, entry, manifest):
    """In the place of `shard.check`: the second shard takes its process with it."""
    if entry["name"].endswith("1.tar"):
        os.kill(os.getpid(), signal.SIGKILL)
    return shard.Result(entry["name"])


def _begin_deadly(folder, manifest):
    parallel._begin(folder, manifest)
    shard.check = _killed


def test_a_worker_that_is_killed_costs_its_shard_alone(good, monkeypatch):
    def deadly(folder, manifest, workers):
        return parallel.concurrent.futures.ProcessPoolExecutor(
            workers, parallel._SPAWN, _begin_deadly, (folder, manifest)
        )

    monkeypatch.setattr(parallel, "_pool", deadly)
    found = examine(LocalFolder(str(good)), dataclasses.replace(DEEP, workers=2)).defects
    assert [(d.kind, d.file) for d in found] == [("file-unreadable", S1)] and "was killed" in found[0].message


def test_what_strangers_wrote_is_printed_without_harm(folder):
    (folder / "a\x1b[2J\nb").touch()
    edit(folder, 0, lambda value: value.update(domain="\x1b]0;title\x07"))
    for form, write in FORMATS.items():
        text = write(examine(LocalFolder(str(folder)), DEEP), "set")
        assert all(c.isprintable() or c == "\n" for c in text), form


@pytest.fixture
def damaged(folder) -> Report:
    edit(folder, 0, lambda value: value["scores"].update(coherence=0.5))
    return examine(LocalFolder(str(folder)), dataclasses.replace(DEEP, last=0))


def test_json(damaged):
    found = json.loads(FORMATS["json"](damaged, "set"))
    assert (found["ok"], found["unchecked"], found["defects"][0]["kind"]) == (False, ["2 of 3 shards"], "scores")


def test_sarif(damaged):
    found = json.loads(FORMATS["sarif"](damaged, "set"))
    (run,) = found["runs"]
    (result,) = run["results"]
    assert (found["version"], run["tool"]["driver"]["name"], result["level"]) == ("2.1.0", "leafinstruct", "error")
    assert result["message"]["text"] == damaged.defects[0].message and run["invocations"][0]["executionSuccessful"]
    assert (result["ruleId"], run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"]) == ("scores", "scores")
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == S0
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].endswith("scores/coherence")
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"] == "not checked: 2 of 3 shards"


def test_junit(damaged):
    suite = xml.fromstring(FORMATS["junit"](damaged, "set"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("9", "1", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == [S0]
    assert [case.get("name") for case in suite if case.find("skipped") is not None] == ["2 of 3 shards"]


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], "valid; not checked: the bytes of shards"),
        (["--deep"], "set: valid\n"),
        (["--shards", "0-1"], "not checked: 1 of 3 shards"),
        (["--sample", "5%"], "not checked: 2 of 3 shards"),
        (["--deep", "--format", "sarif"], '"results": []'),
        (["--deep", "--format", "junit"], 'failures="0"'),
        (["--json"], '"ok": true'),
    ],
)
def test_the_command(folder, capsys, monkeypatch, argv, words):
    monkeypatch.chdir(folder.parent)
    assert main(["validate", "set", "--workers", "1", *argv]) == 0
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--shards", "9-3"], "such as 0-99"),
        (["--shards", "all"], "such as 0-99"),
        (["--shards", "7"], "there is no shard 7"),
        (["--sample", "0"], "such as 5%"),
        (["--sample", "five"], "such as 5%"),
        (["--sample", "500%"], "such as 5%"),
        (["--public-key", "nothing"], "holds no OpenSSH public keys"),
    ],
)
def test_what_the_command_refuses(good, capsys, argv, words):
    assert main(["validate", str(good), *argv]) == 2
    assert words in capsys.readouterr().err


def test_the_command_reads_shards_in_processes_of_its_own(good):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "validate", str(good), "--deep", "--workers", "2"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{good}: valid\n"), done.stderr


def test_a_manifest_that_cannot_be_used_ends_the_check(folder):
    (folder / M).write_text("{}")
    report = examine(LocalFolder(str(folder)), DEEP)
    assert {d.kind for d in report.defects} == {"manifest-schema"}
    assert report.unchecked == ("everything but the manifest",)
    assert len(places(report.defects)) == 1
