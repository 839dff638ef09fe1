"""What people are told when the machine, or a worker, breaks a run."""

import errno
import os

import pytest

from pipeline.launch.errors import plain_errors
from schemas.errors import UserError


def said(tmp_path, error: Exception) -> str:
    with pytest.raises(UserError) as told, plain_errors(f"{tmp_path}/out", f"{tmp_path}/work"):
        raise error
    return str(told.value)


def os_error(number: int, path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def test_a_path_of_the_output_cannot_be_written_and_any_other_cannot_be_read(tmp_path):
    for path in (tmp_path / "out/shards", tmp_path / "work"):
        assert said(tmp_path, os_error(errno.EACCES, path)) == (
            f"cannot write to {path}: Permission denied; choose another --output")
    for path in ("/corpus/x.jsonl", f"{tmp_path}/out-corpus/x.jsonl"):
        assert said(tmp_path, os_error(errno.EISDIR, path)).startswith(f"cannot read {path}: Is a directory; mend it")


@pytest.mark.parametrize("error", [
    UserError("give it once [while running 'Plan']\nTraceback"),
    RuntimeError("schemas.errors.UserError: give it once [while running 'Plan']\n more")])
def test_nothing_of_beam_is_left_in_a_sentence_of_ours(tmp_path, error):
    assert said(tmp_path, error) == "give it once"


@pytest.mark.parametrize("text", ["Channel closed prematurely.", "The transport endpoint was closed: Worker exited"])
def test_a_worker_that_died(tmp_path, text):
    assert "a worker process ended" in said(tmp_path, RuntimeError(text))


def test_other_errors_are_ours_to_mend_and_keep_their_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), plain_errors("out", "work"):
        raise ZeroDivisionError
