"""The wheel, installed where there is no checkout: what the project ships is in it, and is found."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.schemas import example

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("configs", "examples/corpus", "filters", "models", "moss", "pipeline", "prompts", "schemas")
UV = [sys.executable, "-m", "uv"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """Built from a copy, because setuptools leaves folders where it builds, and takes up what it left."""
    source = tmp_path_factory.mktemp("source") / "leafinstruct"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "out", "tests", "__pycache__", "*.egg-info")
    )
    subprocess.run(
        [
            *UV,
            "build",
            "--quiet",
            "--wheel",
            "--no-build-isolation",
            "--python",
            sys.executable,
            "--out-dir",
            source / "dist",
            source,
        ],
        check=True,
    )
    [built] = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> pathlib.Path:
    """The bin folder of an environment that has the wheel, and of this one's packages all but the checkout."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    subprocess.run([*UV, "pip", "install", "--quiet", "--no-deps", "--python", venv, wheel], check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin"


@pytest.fixture
def run(installed, tmp_path):
    """Run a program of the environment in an empty folder, without what Python is told elsewhere."""

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [installed / program, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True
        )

    return run


def test_everything_that_is_tracked_is_in_the_wheel(wheel):
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("this is no git checkout, so nothing tells which files belong to the project")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in tracked.stdout.splitlines() if not name.endswith(".md")} <= shipped
    assert not [name for name in shipped if name.startswith(("tests/", "scripts/", "benchmarks/"))]


def test_the_container_gets_what_the_wheel_has(wheel):
    copied = {
        name
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ")
        for name in line.split()[1:-1]
    }
    shipped = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped <= copied


def test_its_types_are_announced(wheel):
    shipped = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in shipped if name.endswith(".py") and "/" in name}
    assert packages == {name.split("/")[0] for name in PACKAGES}
    assert {f"{package}/py.typed" for package in packages} <= set(shipped)


def test_the_installed_package_is_not_the_checkout(run, installed):
    where = run("python", "-c", "import pipeline, configs; print(pipeline.__file__, configs.FOLDER)").stdout.split()
    assert all(path.startswith(str(installed.parent)) for path in where) and len(where) == 2


def test_the_command_speaks(run):
    helped = run("leafinstruct", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "demo" in helped.stdout and "validate" in helped.stdout


def test_a_data_set_is_checked(run, tmp_path):
    example.write(tmp_path / "set")
    checked = run("leafinstruct", "validate", "set", "--deep")
    assert checked.stdout == "set: valid\n", checked.stderr


def test_a_shipped_configuration_goes_by_name(run):
    refused = run("leafinstruct", "build", "--config", "leafinstruct", "--output", "out", "--limit", "0")
    assert refused.stderr == "leafinstruct: --limit must be at least 1, not 0\n"
