"""The records as Arrow schemas, derived from the dataclasses (ledger, index) and from the JSON Schema (instance)."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from schemas.index import IndexRow, Member
from schemas.jsonschema import INSTANCE as INSTANCE_JSON
from schemas.outcome import Outcome
from schemas.records import Drop, ImageDrop

ROW_GROUP = 10_000
"""Rows of each row group of the index and the ledger but the last."""

_SIMPLE: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_JSON: dict[str, pa.DataType] = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a dataclass: one field for each, nullable exactly if the type says `| None`."""
    return pa.schema(_fields(record))


def _fields(record: type) -> list[pa.Field[Any]]:
    hints = typing.get_type_hints(record)
    return [_field(f.name, hints[f.name]) for f in dataclasses.fields(record)]


def _field(name: str, hint: Any) -> pa.Field[Any]:
    if isinstance(hint, types.UnionType):
        (inner,) = (h for h in typing.get_args(hint) if h is not types.NoneType)
        return pa.field(name, _type(inner), nullable=True)
    return pa.field(name, _type(hint), nullable=False)


def _type(hint: Any) -> pa.DataType:
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return pa.struct(_fields(hint))
    items = typing.get_args(hint)
    if items[-1] is Ellipsis:  # tuple[T, ...]
        return pa.list_(_field("element", items[0]))  # Parquet's own name: a file reads back equal
    return pa.struct([_field("name", items[0]), _field("value", items[1])])  # tuple[str, float]: a named number


def _from_json(schema: Mapping[str, Any], aspects: Iterable[str]) -> pa.DataType:
    kind = schema["type"]
    if isinstance(kind, list):
        (kind,) = (k for k in kind if k != "null")
    if kind == "array":
        return pa.list_(_from_json(schema["items"], aspects))
    if kind == "object" and "propertyNames" in schema:
        return ratings_type(aspects)
    return _from_object(schema, aspects) if kind == "object" else _JSON[kind]


def _from_object(schema: Mapping[str, Any], aspects: Iterable[str]) -> pa.StructType:
    properties = dict(schema["properties"])
    for choice in schema.get("allOf", ()):  # a segment: the fields of a text and of an image together
        properties |= choice["then"]["properties"]
    return pa.struct([pa.field(name, _from_json(s, aspects)) for name, s in properties.items()])


LEDGER = schema_of(Outcome)


def ratings_type(aspects: Iterable[str]) -> pa.StructType:
    """The ratings as a struct with one number per aspect, in alphabetical order."""
    return pa.struct([pa.field(aspect, pa.float64(), nullable=False) for aspect in sorted(aspects)])


def index_schema(aspects: Iterable[str]) -> pa.Schema:
    """The schema of an index whose instances are rated by these aspects."""
    hints = typing.get_type_hints(IndexRow)
    return pa.schema(
        [
            pa.field(f.name, ratings_type(aspects), nullable=False)
            if f.name == "ratings"
            else _field(f.name, hints[f.name])
            for f in dataclasses.fields(IndexRow)
        ]
    )


def is_index(schema: pa.Schema) -> bool:
    """Whether a file with this schema is an index, with any rating aspects."""
    try:
        ratings = schema.field("ratings").type
    except KeyError:
        return False
    return isinstance(ratings, pa.StructType) and schema.equals(index_schema(field.name for field in ratings))


def instance_schema(aspects: Iterable[str]) -> pa.Schema:
    """The JSON of instances as a table; a segment has null for the fields of the other kind."""
    return pa.schema(list(_from_object(INSTANCE_JSON, tuple(aspects))))


def outcome_table(outcomes: Iterable[Outcome]) -> pa.Table:
    """The ledger rows as a table with the LEDGER schema."""
    rows = [dataclasses.asdict(o) | {"scores": [{"name": n, "value": v} for n, v in o.scores]} for o in outcomes]
    return pa.Table.from_pylist(rows, schema=LEDGER)


def outcomes_from_table(table: pa.Table) -> list[Outcome]:
    """The outcomes of a table with the LEDGER schema: `outcomes_from_table(outcome_table(x)) == list(x)`."""
    return [
        Outcome(
            **row
            | {
                "scores": tuple((s["name"], s["value"]) for s in row["scores"]),
                "dropped_images": tuple(ImageDrop(**d | {"drop": Drop(**d["drop"])}) for d in row["dropped_images"]),
            }
        )
        for row in table.to_pylist()
    ]


def index_table(rows: Iterable[IndexRow], aspects: Iterable[str]) -> pa.Table:
    """The index rows as a table of `index_schema(aspects)`."""
    return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=index_schema(aspects))


def index_rows(table: pa.Table) -> list[IndexRow]:
    """The index rows of a table with the schema `index_schema`."""
    return [IndexRow(**row | {"images": tuple(Member(**m) for m in row["images"])}) for row in table.to_pylist()]
