"""Is the manifest there, well formed, and in agreement with itself?"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import jsonschema

from schemas.codec import Json, config_hash, json_bytes, parse_json, shard_name
from schemas.defects import READ_ERRORS, Defect, pointer_of
from schemas.jsonschema import MANIFEST

FILE = "manifest.json"
_VALIDATOR = jsonschema.Draft202012Validator(MANIFEST)


def read(folder: pathlib.Path) -> tuple[Json | None, list[Defect]]:
    """The manifest, or None and why it cannot be used."""
    try:
        value = parse_json((folder / FILE).read_bytes())
        json_bytes(value)  # raises where there is half a character that nothing can print
        errors = list(_VALIDATOR.iter_errors(value))
    except FileNotFoundError:
        return None, [Defect("manifest-missing", FILE, "there is no manifest: the build did not finish")]
    except READ_ERRORS as error:
        return None, [Defect("manifest-unreadable", FILE, f"cannot be read as JSON: {error}")]
    except RecursionError:
        return None, [Defect("manifest-unreadable", FILE, "nested too deeply")]
    if errors:
        return None, [
            Defect("manifest-schema", FILE, short(e.message), pointer=pointer_of(e.absolute_path)) for e in errors
        ]
    return value, []


def check(manifest: Json) -> Iterator[Defect]:
    """The sums and the hash."""
    found = config_hash(manifest["config"])
    for pointer, value in (
        ("/config_hash", manifest["config_hash"]),
        ("/provenance/config", manifest["provenance"]["config"]),
    ):
        if value != found:
            yield Defect("config-hash", FILE, f"is {value}, but the configuration hashes to {found}", pointer=pointer)
    instances = manifest["counts"]["instances"]
    yield from _shards(manifest["shards"], manifest["shard_size"])
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


def short(text: str, limit: int = 200) -> str:
    """Messages quote the data, which may be long."""
    return text if len(text) <= limit else text[:limit] + "…"
