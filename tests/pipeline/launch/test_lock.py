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


def test_output_and_work_may_be_the_same_folder(tmp_path):
    with exclusive_lock(str(tmp_path), f"{tmp_path}/"):
        pass
