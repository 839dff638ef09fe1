"""Imports point down only, between packages and between the parts of `pipeline/` and `moss/`; Beam lives in `pipeline/`.

A part is a subpackage, or a file directly in the package. `LAYERS` lists each package's parts from top to bottom: a part
may import those of lower lines, and nothing of its own line or above.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MAY_IMPORT = {
    "configs": {"configs"},
    "schemas": {"schemas"},
    "filters": {"schemas", "filters"},
    "prompts": {"schemas", "filters", "prompts"},
    "pipeline": {"configs", "schemas", "filters", "prompts", "pipeline"},
    "moss": {"configs", "schemas", "moss"},
    "models": {"schemas", "filters", "prompts", "pipeline", "models"},
}
LAYERS = {
    "pipeline": (
        "cli",
        "arguments",
        "launch",
        "dag",
        "graph",
        "audit",
        "selftest",
        "report",
        "dataset run",
        "decontamination",
        "llm images corpora ocr content",
        "coherence instances",
        "config",
        "held_out opt_outs",
        "encodings every ranges sources storage",
        "__init__",
    ),
    "moss": (
        "encode train generate evaluate judge compose",
        "judging",
        "evaluation",
        "generation",
        "small",
        "training",
        "answers",
        "data",
        "backbones",
        "__init__ settings",
        "adapters",
        "batch",
        "layout servers",
    ),
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


def part(name: str) -> str:
    """`pipeline.llm.client` -> `llm`; the package itself -> `__init__`."""
    parts = name.split(".")
    return (
        parts[1]
        if len(parts) > 1 and ((ROOT / parts[0] / parts[1]).is_dir() or (ROOT / parts[0] / f"{parts[1]}.py").exists())
        else "__init__"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imported(path)} & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[package]


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.relative_to(ROOT).parts[0] in LAYERS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_between_parts_point_down(path):
    package = path.relative_to(ROOT).parts[0]
    layer = {name: at for at, names in enumerate(LAYERS[package]) for name in names.split()}
    own = part(".".join(path.relative_to(ROOT).with_suffix("").parts))
    # `from pipeline import config` names both the package and the part; the part is what is meant
    wrong = {
        name
        for name in imported(path)
        if name.split(".")[0] == package
        and name != package
        and part(name) not in (own, "__init__")
        and layer[part(name)] <= layer[own]
    }
    assert not wrong, f"{own} may not import {wrong}"


def test_every_part_has_a_layer():
    for package, lines in LAYERS.items():
        parts = {
            part(".".join(path.relative_to(ROOT).with_suffix("").parts))
            for path in FILES
            if path.relative_to(ROOT).parts[0] == package
        }
        assert parts == {name for names in lines for name in names.split()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_beam_lives_in_the_pipeline_alone(path):
    if path.relative_to(ROOT).parts[0] != "pipeline":
        assert not {name for name in imported(path) if name.startswith("apache_beam")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 300
