"""What makes a set-up impossible is said before anything is run, with what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.scripts.conftest import ROOT, on

BOTH = [".venv", ".venv-vllm"]
OTHER_PYTHON = (
    "import runpy, sys; sys.version_info = ({0}, {1}, 0); sys.version = '{0}.{1}.0'; "
    "sys.argv = ['environment.py', '.venv']; sys.path.insert(0, 'scripts'); "
    "runpy.run_path('scripts/environment.py', run_name='__main__')"
)


def refused(environment, capsys, names=BOTH) -> str:
    """The one sentence that ends a set-up which made nothing."""
    assert environment.main(names) == 2
    assert environment.ran == []
    assert not any((environment.PROJECT / name).exists() for name in BOTH)
    return capsys.readouterr().out


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_another_python_is_refused_at_once(version, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", OTHER_PYTHON.format(*version)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
        env={"PATH": str(tmp_path)},
    )
    assert ran.returncode == 2
    assert "LeafInstruct needs Python 3.11, 3.12 or 3.13" in ran.stdout
    assert "make demo PYTHON=python3.13" in ran.stdout


def test_a_python_that_is_there_is_named(tmp_path):
    (tmp_path / "python3.12").write_text("#!/bin/sh\n")
    (tmp_path / "python3.12").chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-c", OTHER_PYTHON.format(3, 10)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
    )
    assert "make demo PYTHON=python3.12" in ran.stdout


@pytest.mark.parametrize(
    "platform",
    [{"system": "Darwin", "cpu": "arm64", "libc": ("", "")}, {"system": "Windows", "cpu": "AMD64", "libc": ("", "")}],
)
def test_without_a_vllm_build_llama_cpp_is_named(environment, machine, monkeypatch, capsys, platform):
    on(monkeypatch, machine, **platform)
    assert "no vLLM build for this platform" in (said := refused(environment, capsys))
    assert "make demo SERVER=llama.cpp" in said and "LLM_URL=" in said
    assert environment.main([".venv"]) == 0, "which needs the first environment alone"


@pytest.mark.parametrize(
    "platform",
    [
        {"cpu": "ppc64le"},
        {"libc": ("", "")},
        {"libc": ("glibc", "2.17")},
        {"system": "Darwin", "cpu": "x86_64"},
        {"system": "Darwin", "cpu": "arm64", "macos": "13.6"},
    ],
)
def test_a_platform_without_pytorch_is_refused(environment, machine, monkeypatch, capsys, platform):
    on(monkeypatch, machine, **platform)
    assert "no build of PyTorch 2.13 for this platform" in refused(environment, capsys, [".venv"])


@pytest.mark.parametrize("names, free, hint", [(BOTH, 8.4e9, "SERVER=llama.cpp"), ([".venv"], 6.9e9, "TORCH_INDEX=")])
def test_too_little_disk_is_told_with_what_is_needed(environment, machine, monkeypatch, capsys, names, free, hint):
    on(monkeypatch, machine, free=free)
    said = refused(environment, capsys, names)
    assert f"has {free / 1e9:.1f} GB free" in said and hint in said
    on(monkeypatch, machine, free=free + 0.2e9)
    assert environment.main(names) == 0


def test_torch_in_uvs_cache_costs_no_disk(environment, machine, monkeypatch):
    on(monkeypatch, machine, free=3.6e9)
    monkeypatch.setattr(environment, "torch_in_cache", lambda uv: True)
    assert environment.main(BOTH) == 0


def test_too_little_memory_for_a_server_of_its_own(environment, machine, monkeypatch, capsys):
    on(monkeypatch, machine, memory=6 * 2**30)
    assert "7.0 GiB of memory, and this one has 6.0" in (said := refused(environment, capsys))
    assert "LLM_URL=" in said
    on(monkeypatch, machine, memory=2 * 2**30)
    assert "3.0 GiB of memory" in refused(environment, capsys, [".venv"])
    on(monkeypatch, machine, memory=3 * 2**30)
    assert environment.main([".venv"]) == 0


def test_a_control_groups_limit_is_the_memory(machine, monkeypatch, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "proc").write_text("0::/a/b\n")
    (tmp_path / "a/memory.max").write_text("1073741824\n")
    (tmp_path / "a/b/memory.max").write_text("max\n")
    paths = {"/sys/fs/cgroup": tmp_path, "/proc/self/cgroup": tmp_path / "proc"}
    monkeypatch.setattr(machine, "Path", lambda name: paths[name])
    assert machine.memory_bytes() == 2**30


def test_all_places_name_the_same_pythons(machine):
    oldest, newest = (f"3.{version[1]}" for version in (machine.PYTHONS[0], machine.PYTHONS[-1]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={oldest},<3.{machine.PYTHONS[-1][1] + 1}"
    classified = [name.split()[-1] for name in project["classifiers"] if "Python ::" in name]
    assert classified == [f"3.{minor}" for _, minor in machine.PYTHONS]
    assert f"Python {oldest} to {newest}" in (ROOT / "README.md").read_text()
    [container] = re.findall(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert container in classified
