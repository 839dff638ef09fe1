"""What people are told when the machine, a worker or a bug stops a run."""

import errno
import os

import pytest

from pipeline.graph import failures
from pipeline.launch import logs
from pipeline.launch.errors import translated
from schemas.errors import BugError, ServiceError, UserError


def said(tmp_path, kind: type, error: Exception) -> str:
    with (
        pytest.raises(kind) as told,
        translated(f"{tmp_path}/out", f"{tmp_path}/kept", f"{tmp_path}/kept/failures", "L"),
    ):
        raise error
    return str(told.value)


def os_error(number: int, path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def test_a_path_of_the_output_cannot_be_written_and_any_other_cannot_be_read(tmp_path):
    for path, option in ((tmp_path / "out/shards", "--output"), (tmp_path / "kept", "--work")):
        assert said(tmp_path, UserError, os_error(errno.EACCES, path)) == (
            f"cannot write to {path}: Permission denied; choose another {option}"
        )
    for path in ("/corpus/x.jsonl", f"{tmp_path}/out-corpus/x.jsonl"):
        assert said(tmp_path, ServiceError, os_error(errno.EISDIR, path)).startswith(
            f"{path}: Is a directory; fix it and run the same command again"
        )


@pytest.mark.parametrize("name, option", [("out", "--output"), ("kept", "--work")])
def test_a_file_in_place_of_a_folder_is_named_with_its_option(tmp_path, name, option):
    (tmp_path / name).write_text("")
    assert said(tmp_path, UserError, os_error(errno.ENOTDIR, tmp_path / name / "job.json")) == (
        f"{tmp_path / name} is a file, not a folder; choose another {option}"
    )


def test_a_disk_that_fails_is_no_wrong_setting(tmp_path):
    for path in (tmp_path / "out/shards", tmp_path / "kept/a.pack"):
        assert said(tmp_path, ServiceError, os_error(errno.EIO, path)).startswith(f"{path}: Input/output error; fix it")
    for error in (OSError(errno.EIO, "Input/output error"), OSError(errno.EMFILE, "Too many open files")):
        assert said(tmp_path, ServiceError, error).startswith(f"a file: {error.strerror}; fix it and run the same")


def test_a_full_disk(tmp_path):
    assert "is full; free some space and run the same command" in said(
        tmp_path, ServiceError, OSError(errno.ENOSPC, "x")
    )


def test_a_disk_too_full_for_a_worker_to_record_an_error(tmp_path, monkeypatch):
    def full(dir):
        assert dir == f"{tmp_path}/kept"
        raise OSError(errno.ENOSPC, "x")

    (tmp_path / "kept").mkdir()
    assert "no worker recorded an error" in said(tmp_path, ServiceError, RuntimeError("stopped"))
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert "is full; free some space" in said(tmp_path, ServiceError, RuntimeError("stopped"))


@pytest.mark.parametrize(
    "raised", [RuntimeError("ours [while running 'Plan']"), UserError("ours [while running 'Plan']")]
)
@pytest.mark.parametrize(
    "error, kind, message",
    [
        (UserError("give it once"), UserError, "give it once"),
        (ServiceError("the server is gone"), ServiceError, "the server is gone; fix it and run the same command again"),
        (OSError(errno.ENOSPC, "No space"), ServiceError, "is full; free some space"),
        (os_error(errno.EIO, "/x"), ServiceError, "/x: Input/output error; fix it"),
        (
            KeyError("id"),
            BugError,
            "a bug stopped the run at the stage “Read”, document d: KeyError: 'id'; the traceback is in L",
        ),
    ],
)
def test_what_a_worker_recorded_is_told_whatever_the_runner_hands_on(tmp_path, raised, error, kind, message):
    failures.record(f"{tmp_path}/kept/failures", "read", "d", error)
    assert message in said(tmp_path, kind, raised)


def test_the_bug_is_told_before_the_service_that_failed_beside_it(tmp_path):
    for error in (ServiceError("gone"), KeyError("id"), OSError(errno.EIO, "x")):
        failures.record(f"{tmp_path}/kept/failures", "read", "", error)
    assert "KeyError" in said(tmp_path, BugError, RuntimeError("x"))


def test_a_sentence_of_our_own_passes(tmp_path):
    failures.record(f"{tmp_path}/kept/failures", "read", "", KeyError("of another run"))
    assert said(tmp_path, UserError, UserError("another run is using it")) == "another run is using it"


def test_a_worker_that_died_leaves_no_record(tmp_path):
    assert "a worker process is killed or out of memory" in said(
        tmp_path, ServiceError, RuntimeError("Channel closed prematurely.")
    )


def test_a_bug_of_the_launcher_is_a_bug(tmp_path):
    assert said(tmp_path, BugError, ZeroDivisionError("x")) == (
        "a bug stopped the run: ZeroDivisionError: x; the traceback is in L"
    )


@pytest.mark.parametrize(
    "error", [RuntimeError("Channel closed prematurely."), OSError(errno.EACCES, "Permission denied", "/locked/x")]
)
def test_the_terminal_gets_a_sentence_and_the_log_file_the_traceback(tmp_path, monkeypatch, capsys, error):
    def locked(folder):
        raise PermissionError(errno.EACCES, "Permission denied", folder)

    monkeypatch.setattr(failures, "read", locked)
    logs.to_terminal("warning")
    with logs.to_file(f"{tmp_path}/log"):
        said(tmp_path, ServiceError, error)
    assert capsys.readouterr().err == ""
    assert "Traceback" in (tmp_path / "log").read_text()
