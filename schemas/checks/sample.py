"""One sample of a shard: its JSON, its members, its pictures, and its row in the index."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any

import jsonschema

from schemas.checks import picture
from schemas.checks.manifest import short
from schemas.checks.tarball import Entry
from schemas.codec import Json, json_bytes, key_of, mean_coherence, parse_json
from schemas.defects import Defect, pointer_of
from schemas.index import IndexRow, Member, index_row
from schemas.jsonschema import INSTANCE

_VALIDATOR = jsonschema.Draft202012Validator(INSTANCE)


def check(
    entries: list[Entry], shard: str, manifest: Json, rows: dict[str, IndexRow] | None
) -> tuple[str | None, list[Defect]]:
    """The id of the sample (None where its JSON cannot be used) and its defects. `rows`: the shard's, by key."""
    key, file = entries[0].key, f"shards/{shard}"

    def defect(kind: str, message: str, pointer: str = "") -> Defect:
        return Defect(kind, file, short(message), shard, key, pointer)

    by_name = {entry.member: entry for entry in entries}
    if "json" not in by_name:
        return None, [defect("member-missing", f"there is no {key}.json")]
    instance, problem = _parse(by_name["json"].data)
    if problem:
        return None, [defect(*problem)]
    if errors := list(_VALIDATOR.iter_errors(instance)):
        return None, [defect("instance-schema", e.message, pointer_of(e.absolute_path)) for e in errors]
    pictures = [
        (f"/{part}/{i}", segment)
        for part in ("context", "output")
        for i, segment in enumerate(instance[part])
        if segment["type"] == "image"
    ]
    found = [
        defect(*what)
        for what in (
            *_identity(instance, key, manifest),
            *_scores(instance["scores"], len(pictures), manifest["rating_aspects"]),
            *_members([entry.member for entry in entries], pictures),
        )
    ]
    for pointer, segment in pictures:
        if segment["image"] in by_name:
            found += [defect(*what) for what in picture.check(by_name[segment["image"]].data, segment, pointer)]
    complete = all(segment["image"] in by_name for _, segment in pictures)
    if rows is not None and key not in rows:
        found.append(Defect("index-missing", "index.parquet", "has no row for this sample", shard, key))
    elif rows is not None and complete:
        images = tuple(
            Member(s["image"], by_name[s["image"]].offset, len(by_name[s["image"]].data)) for _, s in pictures
        )
        expected = index_row(instance, shard, by_name["json"].offset, len(by_name["json"].data), images)
        found += [
            Defect("index-row", "index.parquet", "disagrees with the shard", shard, key, f"/{field.name}")
            for field in dataclasses.fields(IndexRow)
            if getattr(rows[key], field.name) != getattr(expected, field.name)
        ]
    return instance["id"], found


def _parse(data: bytes) -> tuple[Any, tuple[str, str] | None]:
    """What the JSON says, of whatever type, and a problem (kind, message) of its form."""
    try:
        value = parse_json(data)
        canonical = json_bytes(value)
    except (ValueError, RecursionError) as error:
        return None, ("json-unreadable", f"is not strict JSON: {error}")
    return value, None if canonical == data else ("json-form", "is not in canonical form (schemas.codec.json_bytes)")


def _identity(instance: Json, key: str, manifest: Json) -> Iterator[tuple[str, str, str]]:
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


def _scores(scores: Json, images: int, aspects: Json) -> Iterator[tuple[str, str, str]]:
    """One entry an image, the mean that follows from them, a rating for each aspect, and nothing finer than 4 decimals."""
    if set(scores["ratings"]) != set(aspects):
        yield (
            "scores",
            f"has {', '.join(sorted(scores['ratings']))}; the aspects are {', '.join(sorted(aspects))}",
            "/scores/ratings",
        )
    for name in ("matched", "mismatched", "max_previous_similarity"):
        if len(scores[name]) != images:
            yield "scores", f"has {len(scores[name])} entries for {images} images", f"/scores/{name}"
    if scores["coherence"] != mean_coherence(scores["matched"]):
        yield (
            "scores",
            f"is {scores['coherence']}; the mean of matched is {mean_coherence(scores['matched'])}",
            "/scores/coherence",
        )
    for name, value in scores.items():
        numbers = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for number in numbers:
            if number is not None and round(number, 4) != number:
                yield "scores", f"{number} is not rounded to 4 decimals", f"/scores/{name}"


def _members(names: list[str], pictures: list[tuple[str, Json]]) -> Iterator[tuple[str, str, str]]:
    """json first, then the pictures, numbered in reading order, each used once."""
    expected = {"json": ""} | {segment["image"]: f"{pointer}/image" for pointer, segment in pictures}
    for i, (pointer, segment) in enumerate(pictures):
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
