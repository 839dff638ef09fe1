"""The examples in docstrings give what they say."""

import doctest
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("configs", "filters", "models", "moss", "pipeline", "prompts", "schemas")
FILES = [ROOT / "number_format.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in FILES
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted and not done.failed


@pytest.mark.parametrize(
    "name",
    [
        "schemas.records",
        "schemas.outcome",
        "schemas.codec",
        "filters.text",
        "filters.words",
        "filters.presets",
        "prompts",
        "pipeline.config",
        "pipeline.corpora.parts",
        "moss.layout",
    ],
)
def test_main_records_and_entry_points_have_examples(name):
    assert name in MODULES
