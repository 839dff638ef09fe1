"""The reader that docs/corpora.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path

from pipeline import corpora
from schemas.records import Image, Text

DOCS = Path(__file__).parents[3] / "docs" / "corpora.md"


def test_the_reader_of_the_docs(read_one, monkeypatch, tmp_path):
    [source] = re.findall(r"```python\n(\"\"\"Recipes.*?)```", DOCS.read_text(), re.S)
    recipes = types.ModuleType("recipes")
    monkeypatch.setitem(sys.modules, "recipes", recipes)
    exec(source, vars(recipes))
    monkeypatch.setitem(corpora.FORMATS, "recipes", corpora.Format(recipes.documents, corpora.JSONL))
    document = read_one("recipes", {"name": "Bread", "page": "https://example.org/bread", "steps": [
        {"do": "Mix.", "photo": "1.jpg"}, {"do": "Bake."}]})
    assert (document.id, document.source, document.url) == ("Bread", "recipes", "https://example.org/bread")
    assert document.segments == (Text("Mix."), Image(f"{tmp_path}/images/1.jpg"), Text("Bake."))
    assert "steps must be a list" in read_one("recipes", {"name": "Bread"}).detail


def test_the_native_record_of_the_docs(read_one):
    [record] = re.findall(r"```json\n(.*?)```", DOCS.read_text(), re.S)
    document = read_one("native", json.loads(record))
    assert (document.id, len(document.texts), document.images[0].width) == ("bench-1", 2, 640)
