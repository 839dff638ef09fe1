"""`leafinstruct demo`, but for the models and the run, which the wheel brings and `make demo` shows."""

from __future__ import annotations

import os
import pathlib
import types

import pytest

from pipeline import config
from pipeline.launch import demo
from pipeline.launch.build import configured
from schemas.errors import UserError


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> types.SimpleNamespace:
    """A user's folder and cache; what would be run and built is noted."""
    seen = types.SimpleNamespace(models=0, builds=[], cache=tmp_path / "cache", here=tmp_path / "here")
    seen.here.mkdir()
    monkeypatch.chdir(seen.here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(seen.cache))
    monkeypatch.setattr(demo.subprocess, "run", lambda command: types.SimpleNamespace(returncode=seen.models))
    monkeypatch.setattr(demo, "build", lambda *arguments, **named: seen.builds.append((*arguments, named)) or "funnel")
    return seen


def test_the_shipped_corpus_goes_to_the_users_folder(elsewhere):
    assert demo.demo("out", llm_url="http://127.0.0.1:9/v1") == "funnel"
    [(path, output, named)] = elsewhere.builds
    assert output == str(elsewhere.here / "out")
    assert config.load(path).llm.name == "leafinstruct-135m"
    corpus = pathlib.Path(named["corpora"][0].removeprefix("native:"))
    assert corpus.is_absolute() and (corpus / "docs.jsonl").is_file()
    assert named["llm_url"] == "http://127.0.0.1:9/v1"


def test_the_models_are_put_together_below_the_users_cache(elsewhere):
    demo.demo("out")
    assert pathlib.Path.cwd() == elsewhere.cache / "leafinstruct"


def test_models_that_cannot_be_made_end_it(elsewhere):
    elsewhere.models = 1
    with pytest.raises(UserError, match=f"could not be built in {elsewhere.cache}"):
        demo.demo("out")
    assert not elsewhere.builds


def test_what_the_models_are_made_with_is_asked_for_first(elsewhere, monkeypatch):
    monkeypatch.setattr(demo.util, "find_spec", lambda name: None if name == "gguf" else object())
    with pytest.raises(UserError, match=r"the demo needs gguf as well: pip install 'leafinstruct\[demo\]'"):
        demo.demo("out")
    assert not os.listdir(elsewhere.here) and not elsewhere.cache.exists()


@pytest.mark.parametrize("server", ["vllm", "llama.cpp"])
def test_the_command_line_chooses_the_server(server):
    assert configured("configs/demo.yaml", None, None, llm_server=server).llm.server == server
