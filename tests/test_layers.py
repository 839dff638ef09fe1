"""Arrows point down only: schemas <- filters, prompts <- pipeline, and schemas <- moss; Beam lives in pipeline alone."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAY_IMPORT = {
    "schemas": {"schemas"},
    "filters": {"schemas", "filters"},
    "prompts": {"schemas", "filters", "prompts"},
    "pipeline": {"schemas", "filters", "prompts", "pipeline"},
    "moss": {"schemas", "moss"},
    "models": {"schemas", "filters", "prompts", "pipeline", "models"},
}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: pathlib.Path) -> set[str]:
    """The full names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_down(path):
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imported(path)} & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_beam_lives_in_the_pipeline_alone(path):
    if path.relative_to(ROOT).parts[0] != "pipeline":
        assert not {name for name in imported(path) if name.startswith("apache_beam")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 250
