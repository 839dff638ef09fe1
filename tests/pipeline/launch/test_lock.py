import errno
import os
import subprocess
import sys

import pytest

from pipeline.launch.lock import exclusive_lock
from schemas.errors import UserError

HOLD = """
import sys
from pipeline.launch.lock import exclusive_lock
with exclusive_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_for_one_run_at_a_time_and_free_when_that_one_is_killed(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another run is using .*/out; wait until it ends"):
            with exclusive_lock(str(tmp_path / "work"), str(tmp_path / "out")):
                raise AssertionError("not alone")
    finally:
        other.kill()
        other.communicate()
    with exclusive_lock(str(tmp_path / "work"), str(tmp_path / "out")):
        pass


def test_a_folder_that_is_named_twice_is_locked_once(tmp_path):
    with exclusive_lock(str(tmp_path), f"{tmp_path}/"):
        pass


def test_nothing_is_left_and_whoever_waited_for_a_deleted_lock_makes_his_own(tmp_path, monkeypatch):
    opened, open_ = [], os.open

    def slowly(path, flags, *mode):  # the other run ends, and deletes its file, after we have opened that
        held = open_(path, flags, *mode)
        if not opened:
            os.unlink(path)
        opened.append(path)
        return held

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", slowly)
        with exclusive_lock(str(tmp_path)):
            assert opened == [f"{tmp_path}/.lease"] * 2 and os.path.exists(opened[0])
            with pytest.raises(UserError, match="another run is using"):
                with exclusive_lock(str(tmp_path)):
                    raise AssertionError("not alone")
    assert not os.listdir(tmp_path)


def test_a_lock_ends_though_its_file_cannot_be_deleted(tmp_path, monkeypatch):
    def broken(path):
        raise OSError(errno.EIO, "Input/output error", path)

    with monkeypatch.context() as disk:
        disk.setattr(os, "unlink", broken)
        with exclusive_lock(str(tmp_path)):
            pass
    with exclusive_lock(str(tmp_path)):
        pass
