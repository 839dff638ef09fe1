"""Checks that the manifest exists, is well formed and is consistent with itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas.checks.schema import manifest_faults
from schemas.codec import Json, config_hash, manifest_bytes, parse_json, shard_name
from schemas.defects import Defect, pointer_of
from schemas.folder import Folder
from schemas.folder import read as read_file
from schemas.jsonschema import FORMAT_VERSION

FILE = "manifest.json"
MOST = 32 << 20
"""The largest manifest in bytes: a shard takes 200, so this is enough for 150,000 shards."""
MOST_CONFIG = 1 << 20


def read(folder: Folder) -> tuple[Json | None, list[Defect]]:
    """The manifest, or None and the defects because of which it cannot be used."""
    data, defects = load(folder)
    return (None, defects) if data is None else parse(data)


def load(folder: Folder) -> tuple[bytes | None, list[Defect]]:
    """The bytes of the manifest, or None and the defects because of which they cannot be read."""
    try:
        return read_file(folder, FILE, MOST), []
    except FileNotFoundError:
        return None, [Defect("manifest-missing", FILE, "there is no manifest: the build did not finish")]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return None, [Defect("manifest-unreadable", FILE, f"cannot be read: {reason}")]


def parse(data: bytes) -> tuple[Json | None, list[Defect]]:
    """The manifest in these bytes, or None and their defects."""
    try:
        value = parse_json(data)
        faults = _other_version(value) or manifest_faults(value, len(data)) or _large_config(value)
        canonical = b"" if faults else manifest_bytes(value)
    except (ValueError, RecursionError) as error:
        return None, [Defect("manifest-unreadable", FILE, f"cannot be read as JSON: {error}")]
    if faults:
        return None, [Defect("manifest-schema", FILE, message, pointer=pointer) for message, pointer in faults]
    if canonical != data:
        return value, [Defect("manifest-form", FILE, "is not in canonical form (schemas.codec.manifest_bytes)")]
    return value, []


def essentials(manifest: Json) -> Json:
    """The part of the manifest that the check of one shard needs.

    It is sent to every worker, so its size must not grow with the dataset.
    """
    return {name: manifest[name] for name in ("salt", "domains", "provenance", "rating_aspects", "config")}


def check(manifest: Json) -> Iterator[Defect]:
    """Check the sums, the names, and the hash of the configuration."""
    found = config_hash(manifest["config"])
    for pointer, value in (
        ("/config_hash", manifest["config_hash"]),
        ("/provenance/config", manifest["provenance"]["config"]),
    ):
        if value != found:
            yield Defect("config-hash", FILE, f"is {value}, but the configuration hashes to {found}", pointer=pointer)
    yield from _against_config(manifest)
    instances = manifest["counts"]["instances"]
    yield from _shards(manifest["shards"], manifest["shard_size"])
    for i, part in enumerate(manifest["ledger"]):
        if part["name"] != f"part-{i:05d}.parquet":
            yield Defect(
                "ledger-name", FILE, f"is {part['name']}, not part-{i:05d}.parquet", pointer=f"/ledger/{i}/name"
            )
    yield from _sum(
        "counts", "/counts/instances", instances, sum(s["instances"] for s in manifest["shards"]), "the shards hold"
    )
    for name in ("domains", "sources", "licenses"):
        yield from _sum(
            "counts", f"/counts/{name}", sum(manifest["counts"][name].values()), instances, "the number of instances is"
        )
    yield from _sum("counts", "/index/rows", manifest["index"]["rows"], instances, "the number of instances is")
    funnel = manifest["funnel"]
    ends = funnel["kept"] + sum(funnel["dropped"].values()) + sum(funnel["failed"].values())
    yield from _sum("funnel", "/funnel/input", funnel["input"], ends, "kept + dropped + failed is")
    yield from _sum("funnel", "/funnel/kept", funnel["kept"], instances, "the number of instances is")
    yield from _sum(
        "funnel",
        "/funnel/input",
        funnel["input"],
        sum(p["rows"] for p in manifest["ledger"]),
        "the ledger's parts hold",
    )
    for domain in sorted(set(manifest["counts"]["domains"]) - set(manifest["domains"])):
        yield Defect("domain", FILE, "is not in the list of domains", pointer=pointer_of(("counts", "domains", domain)))


def _other_version(value: Any) -> list[tuple[str, str]]:
    version = value.get("format_version") if isinstance(value, dict) else None
    if type(version) is not int or version == FORMAT_VERSION:
        return []
    return [
        (
            f"is {version}; this validator knows {FORMAT_VERSION} alone: take the release that built the folder, or "
            "build it again",
            "/format_version",
        )
    ]


def _large_config(manifest: Json) -> list[tuple[str, str]]:
    size = len(json.dumps(manifest["config"]))
    return (
        [(f"has {size:,} bytes; no configuration has more than {MOST_CONFIG:,}", "/config")]
        if size > MOST_CONFIG
        else []
    )


def _against_config(manifest: Json) -> Iterator[Defect]:
    """Check what the manifest repeats from its configuration."""
    config = manifest["config"]
    shards = config.get("shards", {})
    for pointer, value, setting in (
        ("/domains", manifest["domains"], config.get("domains")),
        ("/salt", manifest["salt"], shards.get("salt")),
        ("/shard_size", manifest["shard_size"], shards.get("size")),
    ):
        if setting is not None and setting != value:
            yield Defect("config", FILE, f"is {value}, but the configuration says {setting}", pointer=pointer)


def _shards(shards: list[Json], size: int) -> Iterator[Defect]:
    for i, shard in enumerate(shards):
        last = i == len(shards) - 1
        if shard["name"] != shard_name(i):
            yield Defect(
                "shard-name",
                FILE,
                f"is {shard['name']}, not {shard_name(i)}",
                shard=shard["name"],
                pointer=f"/shards/{i}/name",
            )
        if shard["instances"] > size or (shard["instances"] < size and not last):
            yield Defect(
                "shard-size",
                FILE,
                f"is {shard['instances']}; every shard but the last holds exactly {size}",
                shard=shard["name"],
                pointer=f"/shards/{i}/instances",
            )


def _sum(kind: str, pointer: str, value: int, expected: int, who: str) -> Iterator[Defect]:
    if value != expected:
        yield Defect(kind, FILE, f"adds up to {value}, but {who} {expected}", pointer=pointer)
