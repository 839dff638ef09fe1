"""What is refused at the end of a run. How it goes well is in test_build.py."""

import dataclasses
import itertools
import json
import os
import pathlib

import pytest

from pipeline.launch import job
from pipeline.launch.publish import MANIFEST, _move, check_inputs, check_models, check_output, prepare_output, publish
from pipeline.storage.files import write_bytes
from schemas.errors import ServiceError, UserError
from tests.pipeline import disk  # noqa: F401  (disk://)
from tests.pipeline.runs import a_run


def test_rules_that_changed_during_the_run_are_not_published_under_its_name(tmp_path):
    run = a_run(tmp_path)  # its provenance names another configuration
    pathlib.Path(run.staging).mkdir(parents=True)
    with pytest.raises(UserError, match="word list was changed during the run"):
        publish(run, {})
    assert [p.name for p in pathlib.Path(run.output).iterdir()] == [".staging"]


def config_file(run) -> pathlib.Path:
    prepare_output(run)
    return pathlib.Path(run.output) / "config.yaml"


def test_shards_that_lost_their_manifest_are_kept_from_another_config(tmp_path):
    run = a_run(tmp_path)
    config_file(run)
    (pathlib.Path(run.output) / "shards").mkdir()
    check_output(run.output, run.config)
    with pytest.raises(UserError, match="contains the results of another configuration"):
        check_output(run.output, dataclasses.replace(run.config, limit=3))


@pytest.mark.parametrize("name", ["shards/theirs.tar", "data.csv", "a/b/c"])
def test_a_folder_of_a_bucket_that_another_program_uses_is_refused(tmp_path, name):
    run = dataclasses.replace(a_run(tmp_path), output=f"disk:/{tmp_path}/theirs")
    check_output(run.output, run.config)
    write_bytes(f"{run.output}/{name}", b"-")
    with pytest.raises(UserError, match=rf"files that are not this pipeline's \({name.split('/')[0]}\)"):
        check_output(run.output, run.config, replace=True)


def test_a_folder_of_a_bucket_with_results_of_another_configuration_is_refused(tmp_path):
    run = dataclasses.replace(a_run(tmp_path), output=f"disk:/{tmp_path}/out")
    write_bytes(f"{run.output}/.lease", b"{}")  # of a run that was killed at once
    check_output(run.output, run.config)
    prepare_output(run)
    write_bytes(f"{run.output}/shards/a.tar", b"-")
    check_output(run.output, run.config)
    another = dataclasses.replace(run.config, limit=3)
    with pytest.raises(UserError, match="contains the results of another configuration"):
        check_output(run.output, another)
    check_output(run.output, another, replace=True)


def test_what_a_run_left_before_it_published_may_be_written_over(tmp_path):
    run = a_run(tmp_path)
    config_file(run)
    pathlib.Path(run.staging).mkdir(parents=True)
    check_output(run.output, dataclasses.replace(run.config, limit=3))


@pytest.mark.parametrize("name, theirs", [("llm", "llama"), ("clip", "ViT-L-14@0123456789ab")])
def test_results_of_another_model_are_not_written_over(tmp_path, name, theirs):
    run = a_run(tmp_path)
    provenance = dataclasses.asdict(run.provenance)
    manifest = pathlib.Path(run.output) / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps({"provenance": provenance | {"pipeline": "0.0.9"}}))
    check_models(run)
    manifest.write_text(json.dumps({"provenance": provenance | {name: theirs}}))
    with pytest.raises(UserError, match=f"the results of another model, {theirs}, and this run uses"):
        check_models(run)


def built_from(run, *inputs) -> None:
    """A finished folder that was built from these files."""
    prepare_output(run)
    (pathlib.Path(run.output) / "manifest.json").write_text(json.dumps({"inputs": inputs}))


BEFORE = {"corpus": "native:jobs", "files": 3, "bytes": 4000, "sha256": "5" * 64}


@pytest.mark.parametrize(
    "now, says",
    [
        ([BEFORE | {"sha256": "6" * 64, "bytes": 4001}], "native:jobs has changed .* of 4,000 bytes, now 3 of 4,001;"),
        ([BEFORE | {"corpus": "native:more"}], "from other corpora"),
        ([BEFORE, BEFORE | {"corpus": "native:more"}], "from other corpora"),
        ([], "from other corpora"),
    ],
)
def test_a_finished_folder_is_not_replaced_by_that_of_another_input(tmp_path, now, says):
    run = a_run(tmp_path)
    built_from(run, BEFORE)
    check_inputs(run.output, [BEFORE])
    with pytest.raises(UserError, match=f"{says}.*another --output, or give --replace. Nothing was overwritten"):
        check_inputs(run.output, now)


@pytest.mark.parametrize(
    "manifest, check",
    [
        ('{"config": {', lambda run: check_output(run.output, run.config)),
        ("[1]", lambda run: check_output(run.output, run.config)),
        ('{"inputs": 5}', lambda run: check_inputs(run.output, [BEFORE])),
        ('{"inputs": [{"x": 1}]}', lambda run: check_inputs(run.output, [BEFORE])),
        ('{"provenance": [1]}', check_models),
    ],
)
def test_a_damaged_manifest_is_told_as_such_and_may_be_replaced(tmp_path, manifest, check):
    run = a_run(tmp_path)
    config_file(run).with_name(MANIFEST).write_text(manifest)
    with pytest.raises(UserError, match="manifest.json is damaged"):
        check(run)
    check_output(run.output, run.config, replace=True)


def test_a_folder_of_an_older_version_is_not_replaced_silently(tmp_path):
    run = a_run(tmp_path)
    built_from(run)
    with pytest.raises(UserError, match="does not say which input files"):
        check_inputs(run.output, [BEFORE])


def test_replace_allows_another_configuration_but_no_files_of_another_program(tmp_path):
    run = a_run(tmp_path)
    built_from(run, BEFORE)
    other = dataclasses.replace(run.config, limit=3)
    with pytest.raises(UserError, match="another configuration; choose another --output, or give --replace"):
        check_output(run.output, other)
    check_output(run.output, other, replace=True)
    (pathlib.Path(run.output) / "manifest.json").unlink()
    (pathlib.Path(run.output) / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"files that are not this pipeline's \(thesis.tex\)"):
        check_output(run.output, other, replace=True)


def test_a_finished_folder_keeps_its_configuration_until_it_is_replaced(tmp_path):
    run = a_run(tmp_path)
    before = config_file(run).read_bytes()
    (pathlib.Path(run.output) / "manifest.json").write_text("{}")
    prepare_output(dataclasses.replace(run, config=dataclasses.replace(run.config, limit=3)))
    assert (pathlib.Path(run.output) / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "name, first",
    [
        ("config.yaml", True),
        ("config.yaml", False),
        ("README.md", False),
        ("manifest.json", False),
        ("run.json", False),
    ],
)
def test_a_file_that_a_kill_left_half_written_is_taken_away(tmp_path, name, first):
    run = a_run(tmp_path)
    output = pathlib.Path(run.output)
    if not first:
        config_file(run)
    (output / ".work").mkdir(parents=True)
    (output / f"{name}.{'0a' * 16}.tmp").write_text("# The config")
    check_output(run.output, run.config)
    prepare_output(run)
    assert {p.name for p in output.iterdir()} == {".work", "config.yaml"}


@pytest.mark.parametrize("name", ["shards", "ledger"])
def test_a_part_that_is_a_link_is_refused_before_anything_is_replaced(tmp_path, name):
    run = a_run(tmp_path)
    config_file(run)
    (tmp_path / "large disk").mkdir()
    (pathlib.Path(run.output) / name).symlink_to(tmp_path / "large disk")
    with pytest.raises(UserError, match=f"{name} is a link, and a run replaces it: make .* itself the link"):
        check_output(run.output, run.config)


def test_what_an_earlier_run_left_unpublished_goes_and_what_it_kept_stays(tmp_path):
    """Its counts would be added to those of this run, and its failures told as this one's."""
    run = a_run(tmp_path)
    gone = [f"{run.work}/{name}/before/a" for name in ("counts", "failures", "dropped", "groups")]
    gone.append(f"{run.output}/.staging/before/shards/00000.tar")
    kept = [f"{run.work}/{name}/a.pack" for name in ("images", "scores", "answers")]
    for path in gone + kept:
        write_bytes(path, b"-")
    prepare_output(run)
    assert [path for path in gone + kept if os.path.exists(path)] == kept


def test_a_config_yaml_of_another_program_does_not_make_its_other_files_ours(tmp_path):
    run = a_run(tmp_path)
    for name in ("config.yaml", "README.md"):
        write_bytes(f"{run.output}/{name}", b"theirs: true\n")
    with pytest.raises(UserError, match=r"files that are not this pipeline's \(README.md\)"):
        check_output(run.output, run.config, replace=True)


OLD = ("shards/00000.tar", "shards/00001.tar", "ledger/part-00000.parquet", "ledger/part-00001.parquet", "run.json.sig")
NEW = ("shards/00000.tar", "ledger/part-00000.parquet")
BOTH = ("config.yaml", "README.md", "run.json", MANIFEST)


@pytest.mark.parametrize("calls", range(5))
def test_a_folder_that_is_replaced_has_no_manifest_until_all_of_it_is_new(tmp_path, monkeypatch, calls):
    """Whenever the launcher is told that it is no longer alone; another may go on from there."""
    run = a_run(tmp_path)
    for folder, names in ((run.output, OLD + BOTH), (run.staging, NEW + BOTH)):
        for name in names:
            write_bytes(f"{folder}/{name}", folder.encode())
    monkeypatch.setattr(job, "published", lambda run: None)
    asked = itertools.count()

    def alone() -> None:
        if next(asked) == calls:
            raise ServiceError("this run has lost its lease")

    output = pathlib.Path(run.output)
    with pytest.raises(ServiceError):
        _move(run, alone)
    assert not (output / MANIFEST).exists() and not (output / "run.json.sig").exists()
    _move(run, lambda: None)
    found = {str(path.relative_to(output)): path.read_text() for path in output.rglob("*") if path.is_file()}
    assert found == dict.fromkeys(NEW + BOTH, run.staging)


def test_what_is_named_in_a_published_folder_is_on_its_disk(tmp_path, monkeypatch):
    run = a_run(tmp_path)
    shards = pathlib.Path(run.staging, "shards")
    shards.mkdir(parents=True)
    for path in (shards / "00000.tar", shards.parent / MANIFEST, shards.parent / "config.yaml"):
        path.write_bytes(b"x")
    events, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        events.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), os.path.realpath(run.output)))
        fsync(descriptor)

    def moved(source, target):
        events.append(f"-> {os.path.relpath(target, run.output)}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    monkeypatch.setattr(job, "published", lambda run: None)
    _move(run, lambda: None)
    staged = os.path.relpath(run.staging, run.output)
    for first, then in (
        (f"{staged}/shards/00000.tar", "-> shards/00000.tar"),
        ("shards", f"-> {MANIFEST}"),
        (".", f"-> {MANIFEST}"),
    ):
        assert events.index(first) < events.index(then), events
