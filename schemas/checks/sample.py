"""Checks one sample of a shard: its JSON, its members, its images, and its row in the index."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from schemas.checks import image, scores
from schemas.checks.rules import threshold
from schemas.checks.schema import instance_faults
from schemas.checks.tarball import Entry
from schemas.codec import Json, json_bytes, key_of, parse_json
from schemas.defects import Defect
from schemas.index import IndexRow, Member, index_row
from schemas.words import words

Fault = tuple[str, str, str]
"""(kind, message, JSON pointer)"""


def check(
    entries: Sequence[Entry], shard: str, manifest: Json, rows: dict[str, IndexRow] | None
) -> tuple[str | None, list[Defect]]:
    """The id of the sample (None if its JSON cannot be used) and its defects.

    `rows`: the index rows of the shard by key, None if there is no index to compare with. `manifest`: at least its
    `essentials`.
    """
    key, file = entries[0].key, f"shards/{shard}"

    def defect(kind: str, message: str, pointer: str = "") -> Defect:
        return Defect(kind, file, message, shard, key, pointer)

    by_name = {entry.member: entry for entry in entries}
    if "json" not in by_name:
        return None, [defect("member-missing", f"there is no {key}.json")]
    try:
        instance, faults = _parse(by_name["json"].data)
    except (ValueError, RecursionError) as error:
        return None, [defect("json-unreadable", f"is not strict JSON: {error}")]
    if faults:
        return None, [defect(*fault) for fault in faults]
    images = [
        (f"/{part}/{i}", segment)
        for part in ("context", "output")
        for i, segment in enumerate(instance[part])
        if segment["type"] == "image"
    ]
    found = [
        defect(*fault)
        for fault in (
            *_identity(instance, key, manifest),
            *scores.check(instance["scores"], [segment for _, segment in images], manifest),
            *_text(instance, manifest["config"]),
            *_members([entry.member for entry in entries], images),
        )
    ]
    max_side = manifest["config"].get("images", {}).get("max_side")
    for pointer, segment in images:
        if segment["image"] in by_name:
            found += [
                defect(*fault) for fault in image.check(by_name[segment["image"]].data, segment, pointer, max_side)
            ]
    if rows is not None and key not in rows:
        found.append(Defect("index-missing", "index.parquet", "has no row for this sample", shard, key))
    elif rows is not None and all(segment["image"] in by_name for _, segment in images):
        places = tuple(Member(s["image"], by_name[s["image"]].offset, len(by_name[s["image"]].data)) for _, s in images)
        expected = index_row(instance, shard, by_name["json"].offset, len(by_name["json"].data), places)
        found += [
            Defect("index-row", "index.parquet", "disagrees with the shard", shard, key, f"/{field.name}")
            for field in dataclasses.fields(IndexRow)
            if getattr(rows[key], field.name) != getattr(expected, field.name)
        ]
    return instance["id"], found


def _parse(data: bytes) -> tuple[Any, list[Fault]]:
    """The JSON's value, and the defects of its form. Raises ValueError if it is not JSON."""
    value = parse_json(data)
    if json_bytes(value) != data:
        return value, [("json-form", "is not in canonical form (schemas.codec.json_bytes)", "")]
    return value, [("instance-schema", message, pointer) for message, pointer in instance_faults(value, len(data))]


def _identity(instance: Json, key: str, manifest: Json) -> Iterator[Fault]:
    if instance["key"] != key:
        yield "key", f"is {instance['key']}, but its members are called {key}", "/key"
    if key_of(instance["id"]) != key:
        yield "key", f"hashes to {key_of(instance['id'])}, but its members are called {key}", "/id"
    if instance["domain"] not in manifest["domains"]:
        yield "domain", f"{instance['domain']!r} is not in the list of domains", "/domain"
    for name, value in instance["provenance"].items():
        if value != manifest["provenance"][name]:
            yield (
                "provenance",
                f"is {value!r}; the manifest says {manifest['provenance'][name]!r}",
                f"/provenance/{name}",
            )


def _text(instance: Json, config: Json) -> Iterator[Fault]:
    """Check the excerpt's length, and that the output does not repeat the context."""
    segments = instance["context"] + instance["output"]
    count = sum(len(words(segment["text"])) for segment in segments if segment["type"] == "text")
    least, most = threshold(config, "excerpt", "min_words"), threshold(config, "excerpt", "max_words")
    if (least is not None and count < least) or (most is not None and count > most):
        yield "threshold", f"has {count} words; the configuration takes {least} to {most}", "/output"
    context, output = (
        [segment.get("text") or segment["sha256"] for segment in instance[part]] for part in ("context", "output")
    )
    if context and any(output[at : at + len(context)] == context for at in range(len(output) - len(context) + 1)):
        yield "repeat", "all of the context is in the output again", "/context"


def _members(names: list[str], images: list[tuple[str, Json]]) -> Iterator[Fault]:
    """Check the members: json first, then the images, numbered in reading order, each used once."""
    expected = {"json": ""} | {segment["image"]: f"{pointer}/image" for pointer, segment in images}
    for i, (pointer, segment) in enumerate(images):
        if not segment["image"].startswith(f"{i:02d}."):
            yield "member-name", f"is {segment['image']}; in reading order it is number {i:02d}", f"{pointer}/image"
    for name, pointer in expected.items():
        if name not in names:
            yield "member-missing", f"there is no member {name}", pointer
    for name, count in collections.Counter(names).items():
        if name not in expected:
            yield "member-stray", f"the JSON does not name the member {name}", ""
        if count > 1:
            yield "member-duplicate", f"the member {name} is there {count} times", ""
    if sorted(names) == sorted(expected) and names != list(expected):
        yield "member-order", f"members come as {', '.join(names)}", ""
