"""JSON Schema (2020-12) of an instance and of the manifest: this file is the source of the checked-in JSON files.

`python -m schemas.jsonschema --write` writes `instance.schema.json` and `manifest.schema.json` beside this file;
`--check` exits with 1 where they differ from what would be written.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

FOLDER = pathlib.Path(__file__).parent
Schema = dict[str, Any]
MEMBER = r"^[0-9]{2}\.(jpg|png)$"
SHARD = r"^leafinstruct-[0-9]{5}\.tar$"
ASPECT = "^[a-z][a-z0-9_]{0,39}$"
"""The pattern of a rating aspect's name, which is also a column name of the index."""

_STRING: Schema = {"type": "string"}
_FILLED: Schema = {"type": "string", "pattern": r"\S"}
_KEY: Schema = {"type": "string", "pattern": "^[0-9a-f]{20}$"}
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_CONFIG: Schema = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_POSITIVE: Schema = {"type": "integer", "minimum": 1}
_COSINE: Schema = {"type": "number", "minimum": -1, "maximum": 1}
_COSINES: Schema = {"type": "array", "items": _COSINE, "minItems": 1}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _table(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _of_type(name: str) -> Schema:
    return {"required": ["type"], "properties": {"type": {"const": name}}}


TEXT: Schema = _object(type={"type": "string", "const": "text"}, text=_FILLED)
IMAGE: Schema = _object(
    type={"type": "string", "const": "image"},
    image={"type": "string", "pattern": MEMBER},
    sha256=_SHA256,
    width=_POSITIVE,
    height=_POSITIVE,
    alt=_STRING,
    caption=_STRING,
)
IMAGE["properties"]["ocr"] = _STRING  # the text in the picture, where pictures were read

SEGMENT: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["text", "image"]}},
    # if/then keeps the pointer of an error inside the segment, where oneOf would name the segment only
    "allOf": [{"if": _of_type("text"), "then": TEXT}, {"if": _of_type("image"), "then": IMAGE}],
}

SCORES: Schema = _object(
    coherence=_COSINE,
    margin={"type": ["number", "null"], "minimum": -2, "maximum": 2},
    recall_at_1={"type": ["number", "null"], "minimum": 0, "maximum": 1},
    matched=_COSINES,
    mismatched=_COSINES,
    max_previous_similarity=_COSINES,
    ratings={
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": ASPECT},
        "additionalProperties": {"type": "number", "minimum": 1, "maximum": 5},
    },
)

PROVENANCE: Schema = _object(
    pipeline=_FILLED, config=_CONFIG, clip=_FILLED, llm=_FILLED, rate_prompt=_FILLED, write_prompt=_FILLED
)

INSTANCE: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:leafinstruct:instance:2",
    "title": "A LeafInstruct instance: the .json member of a sample",
    **_object(
        id=_FILLED,
        key=_KEY,
        instruction=_FILLED,
        domain=_FILLED,
        title=_STRING,
        source=_FILLED,
        url=_STRING,
        license=_STRING,
        context={"type": "array", "items": SEGMENT},
        output={
            "type": "array",
            "items": SEGMENT,
            "allOf": [{"contains": _of_type("text")}, {"contains": _of_type("image")}],
        },
        scores=SCORES,
        provenance=PROVENANCE,
    ),
}

MANIFEST: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:leafinstruct:manifest:2",
    "title": "The manifest of a LeafInstruct folder",
    **_object(
        format={"const": "leafinstruct"},
        format_version={"const": 2},
        name=_FILLED,
        provenance=PROVENANCE,
        libraries=_table(_FILLED),
        config={"type": "object"},
        config_hash=_CONFIG,
        domains={"type": "array", "items": _FILLED, "minItems": 1, "uniqueItems": True},
        rating_aspects={
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": ASPECT},
            "additionalProperties": _STRING,
        },
        # blake2b takes a key of at most 64 bytes
        salt={"type": "string", "pattern": "^[ -~]{1,64}$"},
        shard_size=_POSITIVE,
        counts=_object(
            instances=_COUNT,
            images=_COUNT,
            domains=_table(_POSITIVE),
            sources=_table(_POSITIVE),
            licenses=_table(_POSITIVE),
        ),
        members={"type": "array", "items": {"type": "string", "pattern": MEMBER}, "uniqueItems": True},
        shards={
            "type": "array",
            "items": _object(
                name={"type": "string", "pattern": SHARD}, instances=_POSITIVE, bytes=_POSITIVE, sha256=_SHA256
            ),
        },
        index=_object(name={"const": "index.parquet"}, rows=_COUNT, bytes=_POSITIVE, sha256=_SHA256),
        ledger={
            "type": "array",
            "items": _object(
                name={"type": "string", "pattern": r"^part-[0-9]{5}\.parquet$"},
                rows=_COUNT,
                bytes=_POSITIVE,
                sha256=_SHA256,
            ),
        },
        funnel=_object(input=_COUNT, kept=_COUNT, dropped=_table(_POSITIVE), failed=_table(_POSITIVE)),
    ),
}

FILES = {"instance.schema.json": INSTANCE, "manifest.schema.json": MANIFEST}


def stale() -> list[str]:
    """The checked-in schema files that differ from what would be written."""
    return [
        name
        for name, schema in FILES.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text() != _pretty(schema)
    ]


def _pretty(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m schemas.jsonschema", description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="write the schema files")
    what.add_argument("--check", action="store_true", help="exit with 1 if a schema file is stale")
    if parser.parse_args().write:
        for name, schema in FILES.items():
            (FOLDER / name).write_text(_pretty(schema))
    elif found := stale():
        parser.exit(1, f"Stale: {', '.join(found)}. Run `python -m schemas.jsonschema --write`.\n")


if __name__ == "__main__":
    main()
