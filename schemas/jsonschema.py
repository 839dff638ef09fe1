"""JSON Schema (2020-12) of an instance, the manifest and run.json: this file is the source of the checked-in JSON files.

`python -m schemas.jsonschema --write` writes them beside this file: `instance.schema.json` and so on; `--check` exits with 1 where they differ from what would be written.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Mapping
from typing import Any

FOLDER = pathlib.Path(__file__).parent
Schema = dict[str, Any]
MEMBER = r"^[0-9]{2}\.(jpg|png)$"
SHARD = r"^leafinstruct-[0-9]{5}\.tar$"
ASPECT = "^[a-z][a-z0-9_]{0,39}$"
"""The pattern of a rating aspect's name, which is also a column name of the index."""
CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
"""Control characters other than tabs and newlines: no text may contain one, so that none reaches a terminal or a
page."""
FORMAT_VERSION = 3
SIGNED = {"README.md": 16 << 20, "config.yaml": 1 << 20}
"""The files besides shards, index and ledger that depend on the input only, and the most bytes of each (far above what
a build writes)."""
OF_RUN = {"metrics.json": 1 << 20, "report.html": 64 << 20}
"""The same for the files that describe how a run went, which differ from run to run."""

_STRING: Schema = {"type": "string", "not": {"pattern": CONTROL}}
_FILLED: Schema = {"type": "string", "pattern": r"\S", "not": {"pattern": CONTROL}}
# maxLength, because some engines let `$` match before a newline
_KEY: Schema = {"type": "string", "pattern": "^[0-9a-f]{20}$", "maxLength": 20}
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64}
_CONFIG: Schema = {"type": "string", "pattern": "^[0-9a-f]{16}$", "maxLength": 16}
_MEMBER: Schema = {"type": "string", "pattern": MEMBER, "maxLength": 6}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**53}
_POSITIVE: Schema = {"type": "integer", "minimum": 1, "maximum": 2**53}
_THRESHOLD: Schema = {"type": "number", "minimum": -1e15, "maximum": 1e15}
_COSINE: Schema = {"type": "number", "minimum": -1, "maximum": 1}
_COSINES: Schema = {"type": "array", "items": _COSINE, "minItems": 1}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _table(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _files(limits: Mapping[str, int]) -> Schema:
    return _object(
        **{name: _object(bytes=_POSITIVE | {"maximum": most}, sha256=_SHA256) for name, most in limits.items()}
    )


def _of_type(name: str) -> Schema:
    return {"required": ["type"], "properties": {"type": {"const": name}}}


TEXT: Schema = _object(type={"type": "string", "const": "text"}, text=_FILLED)
IMAGE: Schema = _object(
    type={"type": "string", "const": "image"},
    image=_MEMBER,
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
        "propertyNames": {"pattern": ASPECT, "maxLength": 40},
        "additionalProperties": {"type": "number", "minimum": 1, "maximum": 5},
    },
)

PROVENANCE: Schema = _object(
    pipeline=_FILLED, config=_CONFIG, clip=_FILLED, llm=_FILLED, rate_prompt=_FILLED, write_prompt=_FILLED
)

INSTANCE: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": f"urn:leafinstruct:instance:{FORMAT_VERSION}",
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

_RULES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["rule"],
        "properties": {"rule": _FILLED, "at_least": _THRESHOLD, "at_most": _THRESHOLD},
    },
}

SETTINGS: Schema = {
    "type": "object",  # the parts that a dataset is checked against; a configuration has more
    "properties": {
        "coherence": _table(_THRESHOLD),
        "ratings": _table(_THRESHOLD),
        "excerpt": _table(_THRESHOLD) | {"properties": {"whole_sections": {"type": "boolean"}}},
        "images": {"type": "object", "properties": {"max_side": _POSITIVE}},
        "duplicates": {
            "type": "object",
            "properties": dict.fromkeys(
                ("text_at_least", "images_in_at_most"), _THRESHOLD | {"type": ["number", "null"]}
            ),
        },
        "shards": {"type": "object", "properties": {"size": _POSITIVE, "salt": _STRING}},
        "domains": {"type": "array", "items": _STRING},
        "rules": {
            "type": "object",
            "properties": dict.fromkeys(("document", "image", "after_images", "content"), _RULES),
        },
    },
}

MANIFEST: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": f"urn:leafinstruct:manifest:{FORMAT_VERSION}",
    "title": "The manifest of a LeafInstruct folder",
    **_object(
        format={"const": "leafinstruct"},
        format_version={"const": FORMAT_VERSION},
        name=_FILLED,
        provenance=PROVENANCE,
        libraries=_table(_FILLED) | {"maxProperties": 1000},
        config=SETTINGS,
        config_hash=_CONFIG,
        domains={"type": "array", "items": _FILLED, "minItems": 1, "maxItems": 1000, "uniqueItems": True},
        rating_aspects={
            "type": "object",
            "minProperties": 1,
            "maxProperties": 100,
            "propertyNames": {"pattern": ASPECT, "maxLength": 40},
            "additionalProperties": _STRING,
        },
        # printable ASCII; blake2b takes a key of at most 64 bytes
        salt={"type": "string", "minLength": 1, "maxLength": 64, "not": {"pattern": "[^ -~]"}},
        shard_size=_POSITIVE,
        counts=_object(
            instances=_COUNT,
            images=_COUNT,
            domains=_table(_POSITIVE),
            sources=_table(_POSITIVE),
            licenses=_table(_POSITIVE),
        ),
        members={"type": "array", "items": _MEMBER, "maxItems": 200, "uniqueItems": True},
        shards={
            "type": "array",
            "items": _object(
                name={"type": "string", "pattern": SHARD, "maxLength": 22},
                instances=_POSITIVE,
                bytes=_POSITIVE,
                sha256=_SHA256,
            ),
        },
        index=_object(name={"const": "index.parquet"}, rows=_COUNT, bytes=_POSITIVE, sha256=_SHA256),
        ledger={
            "type": "array",
            "items": _object(
                name={"type": "string", "pattern": r"^part-[0-9]{5}\.parquet$", "maxLength": 18},
                rows=_POSITIVE,
                bytes=_POSITIVE,
                sha256=_SHA256,
            ),
        },
        files=_files(SIGNED),
        inputs={
            "type": "array",
            "items": _object(corpus=_FILLED, files=_COUNT, bytes=_COUNT, sha256=_SHA256),
            "maxItems": 10_000,
        },
        funnel=_object(input=_COUNT, kept=_COUNT, dropped=_table(_POSITIVE), failed=_table(_POSITIVE)),
    ),
}

RUN: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": f"urn:leafinstruct:run:{FORMAT_VERSION}",
    "title": "run.json of a LeafInstruct folder",
    **_object(format={"const": "leafinstruct-run"}, manifest=_SHA256, files=_files(OF_RUN)),
}

FILES = {"instance.schema.json": INSTANCE, "manifest.schema.json": MANIFEST, "run.schema.json": RUN}


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
