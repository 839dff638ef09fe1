"""The examples of docs/extending.md, as they stand on the page."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import yaml

import prompts
from filters import presets
from moss import backbones, generate, train
from pipeline import config, corpora
from pipeline.cli import main
from pipeline.dataset import ledger
from schemas.errors import UserError
from schemas.records import Document, Drop, Image, Text
from schemas.validate import validate
from tests.answers import MODEL, server
from tests.pipeline.runs import ROOT, demo_tree
from tests.schemas import example

PAGE = (ROOT / "docs/extending.md").read_text()
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w*\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture
def here(tmp_path, monkeypatch) -> pathlib.Path:
    """A folder with all files of the page, importable, as the current one."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_each_example_is_shorter_than_thirty_lines():
    assert len(FILES) >= 5
    assert all(len(text.splitlines()) < 30 for text in FILES.values())


def test_a_rule(here):
    rules = presets.load("my_preset.yaml").document_rules
    assert len(rules) == len(presets.load("leafinstruct").document_rules) + 1
    free = Document("a", "s", (Text("Words."),), license="CC-BY-4.0")
    assert rules[-1].name == "my_rules.allowed_license"
    assert presets.filter_document(free, rules[-1:]) is None
    secret = Document("a", "s", (Text("Words."),), license="All rights reserved")
    assert presets.filter_document(secret, rules[-1:]) == Drop("allowed_license", 0.0, 1.0)


def test_a_reader(here):
    record = {
        "name": "Bread",
        "page": "https://example.org/bread",
        "steps": [{"do": "Mix.", "photo": "1.jpg"}, {"do": "Bake."}],
    }
    (here / "recipes.jsonl").write_text(f'{json.dumps(record)}\n{{"name": "Soup"}}\n')
    given = config.parse_corpus("my_recipes:recipes.jsonl")
    corpora.check(given.format, given.path)
    [part] = corpora.parts(given.format, given.path)
    bread, soup = corpora.read(part)
    assert (bread.id, bread.url, bread.location) == ("Bread", "https://example.org/bread", "recipes.jsonl:1")
    assert bread.segments == (Text("Mix."), Image("./images/1.jpg"), Text("Bake."))
    assert (soup.error, soup.detail) == ("bad_record", "ValueError: steps must be a list, not missing")


def test_a_reader_that_is_none_is_refused_in_words(here):
    (here / "empty.py").write_text("")
    for name, message in (
        ("no_such_reader", "unknown corpus format"),
        ("no.such.reader", "cannot be imported"),
        ("pipeline.cli", "defines no FORMAT"),
        ("empty", "defines no FORMAT"),
    ):
        with pytest.raises(UserError, match=message):
            corpora.check(name, "recipes.jsonl")


def test_a_backbone(here, capsys):
    """One of one's own trains on a dataset, and answers from its checkpoint."""
    example.write(here / "shards")
    (here / "train.yaml").write_text(
        "shards: shards\noutput: trained\nbackbone: {name: my_backbone}\nadapter: {r: 4, r_image: 2}\n"
        "data: {length: 512}\ntraining: {steps: 2, rows: 1}\n"
    )
    assert train.main(["--config", "train.yaml"]) == 0
    arguments = [
        "--checkpoint",
        "trained",
        "--shards",
        "shards",
        "--limit",
        "1",
        "--max-tokens",
        "80",
        "--output",
        "said",
    ]
    assert generate.main(arguments) == 0
    assert list((here / "said").iterdir())


def test_a_backbone_that_is_none_is_refused_in_words(here):
    for name, message in (
        ("no_such_backbone", "choose one of chameleon, continuous, emu2, emu3, janus"),
        ("no.such.backbone", "cannot be imported"),
        ("my_rules", "defines no load and tiny"),
    ):
        with pytest.raises(UserError, match=message):
            backbones.load(name, "tiny")
    with pytest.raises(UserError, match="has no option size"):
        backbones.load("my_backbone", "folder", size=256)


def test_a_prompt(here):
    mine, ours = prompts.load("./my_prompts"), prompts.load("embedded")
    assert mine.write_version(("A",)) != ours.write_version(("A",)) and mine.system == ours.system
    question = mine.write_prompt(Document("a", "s", (Text("Words."),)), ("Art", "Law")).messages[1]["content"]
    assert question.startswith("Words.\n\n---\nWhich question") and question.endswith("Art; Law.")


def test_the_new_rule_and_the_new_aspect_in_a_build(here):
    """A rule, an aspect and a wording of one's own go through the whole pipeline into a valid dataset."""
    tree = demo_tree()
    tree |= {"preset": "my_preset.yaml", "prompts": "./my_prompts"}
    tree["corpora"] = [{"format": "native", "path": str(ROOT / "examples/corpus")}]
    tree["llm"]["name"] = MODEL
    tree["clip"]["model"] = f"local-dir:{ROOT}/build/models/coherence"
    (here / "config.yaml").write_text(yaml.safe_dump(tree))
    with server() as llm:
        assert main(["build", "--config", "config.yaml", "--output", "out", "--llm-url", llm.url]) == 0
    rows = list(ledger.read_outcomes("out"))
    kept = [row for row in rows if row.status == "kept"]
    assert kept and all(dict(row.scores)["safety"] == 5 for row in kept)
    manifest = json.loads((here / "out/manifest.json").read_text())
    assert manifest["rating_aspects"]["safety"] == "tells nobody to do something dangerous"
    assert validate(here / "out", deep=True) == []
    assert "tells nobody to do something dangerous" in (here / "out/report.html").read_text()
