"""Free memory is the machine's, or what a control group has left, whichever is less."""

from __future__ import annotations

import pathlib

import psutil
import pytest

from pipeline.llm import memory

GIB = 1 << 30


def group(folder: pathlib.Path, version: int, limit: object, use: int, cache: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = memory._FILES[version]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{use}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cache}\n")


@pytest.mark.parametrize(
    "version, membership, place",
    [(2, "0::/user/app\n", "user/app"), (1, "11:cpu,cpuacct:/\n4:memory:/user/app\n0::/\n", "memory/user/app")],
)
def test_what_is_left_of_a_limit(tmp_path, version, membership, place):
    (tmp_path / "cgroup").write_text(membership)
    group(tmp_path / place, version, 8 * GIB, 3 * GIB, 1 * GIB)
    assert list(memory._left(tmp_path / "cgroup", tmp_path)) == [6 * GIB]


def test_a_limit_further_up_counts_too(tmp_path):
    (tmp_path / "cgroup").write_text("0::/user/app\n")
    group(tmp_path / "user/app", 2, "max", 3 * GIB, 0)
    group(tmp_path / "user", 2, 4 * GIB, 3 * GIB, 0)
    assert list(memory._left(tmp_path / "cgroup", tmp_path)) == [1 * GIB]


def test_without_control_groups_the_machines_memory_counts(tmp_path):
    assert list(memory._left(tmp_path / "nothing", tmp_path)) == []
    assert 0 < memory.available() <= psutil.virtual_memory().total
