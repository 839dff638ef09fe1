"""Ways to damage the example set, and to sign it again so that a checksum does not hide the deeper fault."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import struct
import zlib

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset import shards
from schemas import tar
from schemas.arrow import index_table, outcomes_from_table
from schemas.checks.tarball import Entry, Reader, entries
from schemas.codec import json_bytes, shard_name
from schemas.index import Member, index_row
from tests.schemas import example

KEYS = [value["key"] for _, value, _ in example.samples()]
"""The keys in the order of the set: three in each shard, one in the last. The first has 3 pictures, the second 1."""
SHARDS = [shard_name(i) for i in range(3)]


def manifest(folder: pathlib.Path, change) -> None:
    """Change the manifest in place."""
    value = json.loads((folder / "manifest.json").read_text())
    change(value)
    shards.write_manifest(value, str(folder))


def sign(folder: pathlib.Path) -> None:
    """Make sizes and checksums in the manifest right again."""

    def change(value):
        for path, entry in [
            *((f"shards/{s['name']}", s) for s in value["shards"]),
            ("index.parquet", value["index"]),
            *((f"ledger/{p['name']}", p) for p in value["ledger"]),
        ]:
            data = (folder / path).read_bytes()
            entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    manifest(folder, change)


def members(folder: pathlib.Path, shard: int) -> list[tuple[str, bytes]]:
    """The files of a shard as (name, data)."""
    with open(folder / "shards" / SHARDS[shard], "rb") as file:
        return [(f"{e.key}.{e.member}", e.data) for e in entries(Reader(file)) if isinstance(e, Entry)]


def rewrite(folder: pathlib.Path, shard: int, change, follow: bool = True) -> None:
    """Write a shard again with the members that `change(members)` returns; the index may follow; sign."""
    changed = change(members(folder, shard))
    with open(folder / "shards" / SHARDS[shard], "wb") as file:
        for name, data in changed:
            tar.add(file, name, data)
        tar.finish(file)
    if follow:
        reindex(folder)
    sign(folder)


def reindex(folder: pathlib.Path) -> None:
    """Put the places of all members into the index, by name; rows of samples that are gone or broken stay."""
    rows = {row.key: row for row in shards.read_index(f"{folder}/index.parquet")}
    for name in SHARDS:
        with open(folder / "shards" / name, "rb") as file:
            found = {(e.key, e.member): e for e in entries(Reader(file)) if isinstance(e, Entry)}
        for key in {key for key, _ in found} & rows.keys():
            mine = {member: e for (k, member), e in found.items() if k == key}
            try:
                value = json.loads(mine.pop("json").data)
                pictures = [mine[s["image"]] for s in value["context"] + value["output"] if s["type"] == "image"]
                at = found[key, "json"]
                rows[key] = index_row(
                    value,
                    name,
                    at.offset,
                    len(at.data),
                    tuple(Member(e.member, e.offset, len(e.data)) for e in pictures),
                )
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
    ordered = sorted(rows.values(), key=lambda r: (r.shard, r.json_offset))
    pq.write_table(index_table(ordered, example.ASPECTS), folder / "index.parquet")


def edit(folder: pathlib.Path, number: int, change) -> None:
    """Change the JSON of the sample `number` in place; index and checksums follow."""

    def changed(files):
        result = []
        for name, data in files:
            if name == f"{KEYS[number]}.json":
                value = json.loads(data)
                change(value)
                data = json_bytes(value)
            result.append((name, data))
        return result

    rewrite(folder, number // example.SIZE, changed)


def raw_json(folder: pathlib.Path, number: int, change) -> None:
    """Change the bytes of the JSON of a sample."""
    rewrite(
        folder,
        number // example.SIZE,
        lambda files: [(name, change(data) if name == f"{KEYS[number]}.json" else data) for name, data in files],
    )


def replace_picture(folder: pathlib.Path, number: int, member: str, data: bytes, **fields) -> None:
    """Put other bytes in the place of a picture, and say so in the JSON (sha256 and `fields`)."""

    def change(value):
        segment = next(s for s in value["context"] + value["output"] if s.get("image") == member)
        segment.update(sha256=hashlib.sha256(data).hexdigest(), **fields)

    rewrite(
        folder,
        number // example.SIZE,
        lambda files: [(name, data if name == f"{KEYS[number]}.{member}" else old) for name, old in files],
    )
    edit(folder, number, change)


def patch(folder: pathlib.Path, shard: int, change) -> None:
    """Change the bytes of a shard (a bytearray) and sign."""
    path = folder / "shards" / SHARDS[shard]
    data = bytearray(path.read_bytes())
    data = change(data) or data
    path.write_bytes(data)
    sign(folder)


def index(folder: pathlib.Path, change) -> None:
    """Replace the index by a table with the rows `change(rows)` and sign. Rows may be in any order."""
    table = pq.read_table(folder / "index.parquet")
    rows = change(table.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / "index.parquet")
    sign(folder)


def ledger(folder: pathlib.Path, part: int, change) -> None:
    """Replace a part of the ledger by the outcomes `change(outcomes)` and sign."""
    path = f"{folder}/ledger/part-{part:05d}.parquet"
    shards.write_ledger(change(outcomes_from_table(pq.read_table(path))), path)
    sign(folder)


def first(**fields):
    """A change to rows or outcomes: other values in the first."""

    def change(rows):
        head, *rest = rows
        return [head | fields if isinstance(head, dict) else dataclasses.replace(head, **fields), *rest]

    return change


def header(folder, shard: int, at_: int, change):
    """Change a tar header and make its checksum right again."""

    def patched(data):
        block = bytearray(data[at_ : at_ + 512])
        change(block)
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        data[at_ : at_ + 512] = block

    patch(folder, shard, patched)


def grey():
    """A picture that is not RGB."""
    file = io.BytesIO()
    PIL.Image.new("L", (24, 16)).save(file, "JPEG")
    return file.getvalue()


def bomb():
    """A tiny PNG whose header says 60,000 x 60,000."""
    data = bytearray(example.picture(1, "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)
