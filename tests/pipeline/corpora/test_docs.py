"""What docs/corpora.md says of the formats."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.corpora import FORMATS

DOCS = Path(__file__).parents[3] / "docs" / "corpora.md"


def test_the_native_record_of_the_docs(read_one):
    [record] = re.findall(r"```json\n(.*?)```", DOCS.read_text(), re.S)
    document = read_one("native", json.loads(record))
    assert (document.id, len(document.texts), document.images[0].width) == ("bench-1", 2, 640)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_described(name):
    assert f"`{name}`" in DOCS.read_text()
