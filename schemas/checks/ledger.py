"""Does the ledger hold every input once, say why, and agree with the funnel and the index?"""

from __future__ import annotations

import array
import collections
import hashlib
import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

from schemas.arrow import LEDGER
from schemas.codec import Json
from schemas.defects import READ_ERRORS, Defect
from schemas.outcome import DROPPED, FAILED, KEPT

COLUMNS = ["id", "status", "stage", "rule", "value", "threshold", "error", "shard", "key"]
BATCH = 4096


def check(folder: pathlib.Path, manifest: Json, places: dict[str, tuple[str, str]] | None) -> Iterator[Defect]:
    """One pass over all parts. `places` (id -> shard and key) is the index's; None where that cannot be read."""
    kept = input_ = 0
    dropped: collections.Counter[str] = collections.Counter()
    failed: collections.Counter[str] = collections.Counter()
    hashes = array.array("Q")  # 8 bytes an id: the ledger has a row for each of millions
    unseen = dict(places) if places is not None else None
    complete = True
    for part in manifest["ledger"]:
        name, rows = f"ledger/{part['name']}", 0
        try:
            for row in _rows(folder / name):
                rows += 1
                hashes.append(_hash(row["id"]))
                kept += row["status"] == KEPT
                dropped.update([row["rule"]] if row["status"] == DROPPED else [])
                failed.update([row["error"]] if row["status"] == FAILED else [])
                if unseen is not None and row["status"] not in (DROPPED, FAILED):
                    unseen.pop(row["id"], None)
                if problem := _problem(row):
                    yield Defect("ledger-row", name, f"{row['id']!r} {problem}", key=row["key"])
                elif row["status"] == KEPT and places is not None:
                    yield from _against_index(name, row, places)
            if rows != part["rows"]:
                yield Defect("ledger-rows", name, f"has {rows} rows; the manifest says {part['rows']}")
            input_ += rows
        except FileNotFoundError:
            complete = False  # files.check has said so
        except _WrongSchema:
            complete = False
            yield Defect("ledger-schema", name, "its columns are not those of schemas.arrow.LEDGER")
        except READ_ERRORS as error:
            complete = False
            yield Defect("ledger-unreadable", name, f"cannot be read as Parquet: {error}")
    yield from _repeats(folder, manifest, hashes)
    if not complete:
        return
    for id_, (shard, key) in (unseen or {}).items():
        yield Defect("ledger-index", "index.parquet", f"{id_!r} is not kept according to the ledger", shard, key)
    found = {"input": input_, "kept": kept, "dropped": dropped, "failed": failed}
    for name, value in found.items():
        if manifest["funnel"][name] != value:
            yield Defect(
                "funnel",
                "manifest.json",
                f"disagrees with the ledger, which has {dict(value) if isinstance(value, dict) else value}",
                pointer=f"/funnel/{name}",
            )


class _WrongSchema(Exception):
    pass


def _rows(path: pathlib.Path) -> Iterator[Json]:
    file = pq.ParquetFile(path)
    if not file.schema_arrow.equals(LEDGER):
        raise _WrongSchema
    for batch in file.iter_batches(BATCH, columns=COLUMNS):
        yield from batch.to_pylist()


def _problem(row: Json) -> str:
    """What is missing in a row of its status."""
    needed = {KEPT: ("shard", "key"), DROPPED: ("stage", "rule", "value", "threshold"), FAILED: ("stage", "error")}
    if row["status"] not in needed:
        return f"has the status {row['status']!r}"
    missing = [name for name in needed[row["status"]] if row[name] in ("", None)]
    return f"is {row['status']} without {', '.join(missing)}" if missing else ""


def _against_index(name: str, row: Json, places: dict[str, tuple[str, str]]) -> Iterator[Defect]:
    if places.get(row["id"]) != (row["shard"], row["key"]):
        yield Defect(
            "ledger-index",
            name,
            f"{row['id']!r} is kept, but the index has it "
            + (f"in {places[row['id']]}" if row["id"] in places else "nowhere"),
            row["shard"],
            row["key"],
        )


def _repeats(folder: pathlib.Path, manifest: Json, hashes: array.array[int]) -> Iterator[Defect]:
    """Ids that have two rows: found by their hashes, then looked up."""
    ordered = np.sort(np.frombuffer(hashes, dtype=np.uint64))
    twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    seen = set()
    for part in manifest["ledger"] if twice else ():
        name = f"ledger/{part['name']}"
        try:
            for row in _rows(folder / name):
                if row["id"] in seen:
                    yield Defect("ledger-duplicate", name, f"{row['id']!r} has two rows", row["shard"], row["key"])
                elif _hash(row["id"]) in twice:
                    seen.add(row["id"])
        except (*READ_ERRORS, _WrongSchema):
            continue


def _hash(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest())
