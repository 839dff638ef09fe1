"""The folder for groups is new, goes with the run, and takes with it what a killed run of the same work left."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile

import pytest

from pipeline.launch import groups
from tests.pipeline.runs import a_run


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


_never_ended = []


def killed(run) -> pathlib.Path:
    """The folder of a run that is killed; the block never ends."""
    _never_ended.append(groups.folder(run))
    path = pathlib.Path(_never_ended[-1].__enter__())
    (path / "group").write_bytes(b"-")
    return path


def test_what_a_killed_run_with_remote_work_left_goes_with_the_next_run_of_this_work(temporary):
    run = dataclasses.replace(a_run(temporary), work="gs://bucket/work")
    other = dataclasses.replace(run, work="gs://bucket/other")
    left, of_another = killed(run), killed(other)
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    link = temporary / f"{left.name}-link"
    link.symlink_to(elsewhere)
    with groups.folder(run) as folder:
        assert not left.exists() and pathlib.Path(folder).parent == temporary
        assert of_another.exists() and elsewhere.exists() and link.is_symlink()
    assert not pathlib.Path(folder).exists() and of_another.exists()


def test_of_a_local_work_folder_it_is_a_part(temporary):
    run = a_run(temporary)
    with groups.folder(run) as folder:
        assert pathlib.Path(folder).parent == temporary / "work/groups"
    assert not pathlib.Path(folder).exists()
