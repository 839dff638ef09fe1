"""JSON Schema, Arrow schema and Python types say the same."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import types
import typing

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import given

from schemas import jsonschema as described
from schemas.arrow import (
    LEDGER,
    index_schema,
    index_table,
    instance_schema,
    is_index,
    outcome_table,
    outcomes_from_table,
)
from schemas.codec import to_json
from schemas.index import IndexRow
from schemas.outcome import Outcome
from schemas.records import Coherence, Instance, Provenance, StoredImage, Text
from tests.schemas import example
from tests.schemas.strategies import instances, outcomes, steady

VALIDATOR = jsonschema.Draft202012Validator(described.INSTANCE)
JSON_NAMES = {str: "string", int: "integer", float: "number"}
ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def types_of(record) -> dict:
    """The fields of a dataclass; the null that a picture's fields have before it is stored is no part of the JSON."""
    hints = typing.get_type_hints(record)
    return {f.name: hints[f.name] for f in dataclasses.fields(record)}


def plain(hint):
    return (
        next((h for h in typing.get_args(hint) if h is not types.NoneType), hint)
        if isinstance(hint, types.UnionType)
        else hint
    )


def json_name(schema: dict) -> str:
    kind = schema["type"]
    return kind if isinstance(kind, str) else next(k for k in kind if k != "null")


@pytest.mark.parametrize(
    "schema, fields",
    [
        (described.TEXT, {"type": str, **types_of(Text)}),
        (
            described.IMAGE,
            {
                "type": str,
                "image": str,
                **{n: t for n, t in types_of(StoredImage).items() if n not in ("uri", "extension")},
            },
        ),
        (described.PROVENANCE, types_of(Provenance)),
        (
            described.SCORES,
            {"coherence": float, **{n: t for n, t in types_of(Coherence).items() if n != "model"}, "ratings": dict},
        ),
        (
            described.INSTANCE,
            {**{n: t for n, t in types_of(Instance).items() if n not in ("coherence", "ratings")}, "scores": dict},
        ),
    ],
)
def test_json_schema_has_the_fields_of_the_python_types(schema, fields):
    assert set(schema["properties"]) == set(fields)
    # what was read in images is there only where they were read
    assert set(schema["required"]) == set(fields) - {"ocr"}
    assert schema["additionalProperties"] is False
    for name, hint in fields.items():
        kind = json_name(schema["properties"][name])
        if plain(hint) in JSON_NAMES:
            assert kind == JSON_NAMES[plain(hint)], name
        else:
            assert kind == ("array" if typing.get_origin(hint) is tuple else "object"), name


@pytest.mark.parametrize("name", ["margin", "recall_at_1"])
def test_null_is_allowed_where_python_allows_none(name):
    assert described.SCORES["properties"][name]["type"] == ["number", "null"]
    assert typing.get_type_hints(Coherence)[name] == float | None


@pytest.mark.parametrize("schema, record", [(LEDGER, Outcome), (index_schema(example.ASPECTS), IndexRow)])
def test_arrow_schema_has_the_fields_of_the_python_types(schema, record):
    assert schema.names == list(types_of(record))
    for field, hint in zip(schema, types_of(record).values(), strict=False):
        assert field.nullable == isinstance(hint, types.UnionType), field.name
        assert field.type == ARROW.get(plain(hint), field.type), field.name
        assert pa.types.is_list(field.type) == (typing.get_origin(hint) is tuple), field.name


@steady
@given(instances())
def test_every_instance_passes_the_json_schema_and_comes_back_through_arrow(instance):
    value = to_json(instance)
    VALIDATOR.validate(value)
    (row,) = pa.Table.from_pylist([value], schema=instance_schema(example.ASPECTS)).to_pylist()
    for part in ("context", "output"):
        row[part] = [{name: v for name, v in segment.items() if v is not None} for segment in row[part]]
    assert row == value


@steady
@given(outcomes)
def test_every_outcome_comes_back_through_arrow(outcome):
    table = outcome_table([outcome, outcome])
    table.validate(full=True)
    assert table.schema == LEDGER
    assert outcomes_from_table(table) == [outcome, outcome]


@pytest.mark.parametrize(
    "change",
    [
        {"key": "ABC"},
        {"instruction": " "},
        {"domain": ""},
        {"context": [{"type": "text"}]},
        {"extra": 1},
        {"output": []},
        {"output": [{"type": "text", "text": "only words"}]},
        {"id": 7},
    ],
)
def test_json_schema_refuses(change):
    _, value, _ = example.sample(1)
    assert VALIDATOR.is_valid(value)
    assert not VALIDATOR.is_valid(value | change)


def test_the_manifest_passes_its_schema(good):
    manifest = json.loads((good / "manifest.json").read_text())
    jsonschema.Draft202012Validator(described.MANIFEST).validate(manifest)


@pytest.mark.parametrize("schema", described.FILES.values(), ids=described.FILES)
def test_the_schemas_are_valid_themselves(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


def test_checked_in_files_are_fresh(monkeypatch, tmp_path):
    assert described.stale() == []
    monkeypatch.setattr(described, "FOLDER", tmp_path)
    assert described.stale() == ["instance.schema.json", "manifest.schema.json", "run.schema.json"]


def test_check_command():
    done = subprocess.run([sys.executable, "-m", "schemas.jsonschema", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_empty_index_has_its_schema():
    assert index_table([], example.ASPECTS).schema == index_schema(example.ASPECTS)


def test_an_index_is_known_by_its_columns_whatever_its_aspects():
    assert is_index(index_schema(["safety"])) and is_index(index_schema(example.ASPECTS))
    assert not is_index(LEDGER) and not is_index(index_schema(["safety"]).remove(0))
    assert not is_index(index_schema(["safety"]).set(11, pa.field("ratings", pa.string())))
