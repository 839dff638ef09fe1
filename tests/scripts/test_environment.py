"""Environments, and how `make test` goes on where one of them cannot be had."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The script as a module, in a project folder of its own in which nothing can be installed."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts/environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/vllm.txt").write_text("nothing==1\n")
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(module.venv, "create", lambda path, **_: path.mkdir())
    monkeypatch.setattr(module, "install", lambda *_: False)
    return module


def on(monkeypatch, environment, system, machine, libc):
    for name, value in (("system", system), ("machine", machine), ("libc_ver", libc)):
        monkeypatch.setattr(environment.platform, name, lambda value=value: value)


@pytest.mark.parametrize("system, machine, libc", [
    ("Darwin", "arm64", ("", "")), ("Windows", "AMD64", ("", "")), ("Linux", "ppc64le", ("glibc", "2.36")),
    ("Linux", "x86_64", ("", "")), ("Linux", "x86_64", ("glibc", "2.17"))])
def test_a_platform_without_vllm_is_told_apart(environment, monkeypatch, capsys, tmp_path, system, machine, libc):
    on(monkeypatch, environment, system, machine, libc)
    assert environment.make(".venv-vllm") == 3
    assert "no vLLM build for this platform" in capsys.readouterr().out
    assert not (tmp_path / ".venv-vllm").exists()


@pytest.mark.parametrize("machine, libc", [("x86_64", "2.36"), ("aarch64", "2.28")])
def test_where_there_is_a_build_a_failing_install_is_a_failure(environment, monkeypatch, capsys, machine, libc):
    on(monkeypatch, environment, "Linux", machine, ("glibc", libc))
    assert environment.make(".venv-vllm") == 2
    assert "no vLLM build" not in capsys.readouterr().out


@pytest.mark.parametrize("code, goes_on", [(0, True), (3, True), (2, False), (1, False)])
def test_make_test_goes_on_only_where_there_is_no_build(tmp_path, code, goes_on):
    """The real Makefile, with stand-ins for both Pythons."""
    for path, script in (("python3", f'case "$*" in *venv-vllm) exit {code};; esac'), ("bin/python", 'echo "ran: $*"')):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / path).chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(["make", "test", f"PYTHON={tmp_path}/python3", f"BIN={tmp_path}/bin"], cwd=ROOT,
                          env=environ, capture_output=True, text=True)
    assert ("ran: -m pytest" in made.stdout, made.returncode == 0) == (goes_on, goes_on)
