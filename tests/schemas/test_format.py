"""docs/format.md is true: its examples run, and its table names every kind of defect that is tested."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.schemas import test_damage_folder, test_damage_instances, test_damage_shards, test_damage_tables

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "format.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)


def test_examples_run(good, capsys):
    names = {"folder": str(good)}
    for example in EXAMPLES:
        exec(compile(example, "docs/format.md", "exec"), names)
    out = capsys.readouterr().out
    assert "Before we start on job 2." in out and "JpegImageFile" in out  # the first sample, as datasets has it
    assert len(names["pictures"]) == 1 and names["pictures"][0].mode == "RGB"  # the last one, as webdataset has it
    assert names["best"].num_rows == 7 and names["picture"].startswith(b"\x89PNG")
    assert out.endswith(f"{names['instance'].instruction} 5.0\n")


def test_every_kind_of_defect_is_explained_and_proven():
    table = PAGE.split("| kinds |")[1]
    explained = {
        kind
        for line in table.splitlines()
        if line.startswith("| `")
        for kind in re.findall(r"`([a-z0-9-]+)`", line.split("|")[1])
    }
    cases = [
        case
        for table in (test_damage_folder, test_damage_instances, test_damage_shards, test_damage_tables)
        for case in table.CASES.values()
    ]
    proven = {place[0] for _, expected in cases for place in expected}
    elsewhere = {"signature", "file-unreadable"}  # test_signature.py, test_validate.py
    assert explained == proven | elsewhere
