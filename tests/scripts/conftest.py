"""The scripts that run before anything is installed, as modules, in a project folder in which nothing can be made."""

from __future__ import annotations

import importlib
import pathlib
import shutil
import types
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[2]


class Disk(NamedTuple):
    free: float


@pytest.fixture
def machine(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("machine")


@pytest.fixture
def environment(machine, tmp_path, monkeypatch) -> types.ModuleType:
    """The project is `tmp_path`, on a machine that has all it takes; what would be run is listed in `module.ran`."""
    module = importlib.reload(importlib.import_module("environment"))
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(module, "ran", [], raising=False)
    monkeypatch.setattr(module, "find_uv", lambda: "uv")
    monkeypatch.setattr(module, "torch_in_cache", lambda uv: False)

    def run(command: list[str], **_: object) -> types.SimpleNamespace:
        module.ran.append(command)
        if command[1:2] == ["venv"]:
            (tmp_path / command[-1]).mkdir(exist_ok=True)
        return types.SimpleNamespace(returncode=0, stdout="")

    monkeypatch.setattr(module.subprocess, "run", run)
    on(monkeypatch, machine)
    return module


def on(
    monkeypatch,
    machine,
    system="Linux",
    cpu="x86_64",
    libc=("glibc", "2.36"),
    macos="15.1",
    free=100e9,
    memory=16 * 2**30,
) -> None:
    """Let this be another machine."""
    for name, value in (("system", system), ("machine", cpu), ("libc_ver", libc), ("mac_ver", (macos, (), ""))):
        monkeypatch.setattr(machine.platform, name, lambda value=value: value)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Disk(free))
    monkeypatch.setattr(machine, "memory_bytes", lambda: memory)
