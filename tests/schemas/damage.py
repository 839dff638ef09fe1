"""Ways to damage the example set, and to make the rest follow, so that neither a checksum nor another file's word hides
or shows the fault: what is left to be found is the fault itself."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import io
import json
import pathlib
import struct
import zlib
from typing import Any

import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset import card, shards
from schemas import tar
from schemas.arrow import index_table, outcomes_from_table
from schemas.checks.files import listed
from schemas.checks.tarball import Entry, Reader, entries
from schemas.codec import config_hash, json_bytes, manifest_bytes, shard_name
from schemas.index import IndexRow, Member, index_row
from schemas.outcome import DROPPED, FAILED, KEPT, Outcome
from tests.schemas import example

M, I, CARD, CONFIG = "manifest.json", "index.parquet", "README.md", "config.yaml"
REPORT, METRICS, RUN, SIGNATURE = "report.html", "metrics.json", "run.json", "run.json.sig"
L0, L1 = "ledger/part-00000.parquet", "ledger/part-00001.parquet"
SHARDS = [shard_name(i) for i in range(3)]
S0, S1, S2 = (f"shards/{name}" for name in SHARDS)
KEYS = [value["key"] for _, value, _ in example.samples()]
"""The keys in the order of the set: three in each shard, one in the last. The first has 3 images, the second 1."""


def places(defects) -> set[tuple[str, str, str, str, str]]:
    return {(d.kind, d.file, d.shard, d.key, d.pointer) for d in defects}


def at(kind: str, file: str, key: str = "", pointer: str = "", shard: str | None = None):
    """The place of a defect; the shard of a shard's file, or of a key outside the ledger's rows, is understood."""
    own = file.removeprefix("shards/")
    if shard is None and key in KEYS and kind != "ledger-row":
        shard = SHARDS[KEYS.index(key) // example.SIZE]
    return kind, file, shard if shard is not None else own if own in SHARDS else "", key, pointer


def manifest(folder: pathlib.Path, change) -> None:
    """Change the manifest in place."""
    value = json.loads((folder / M).read_text())
    change(value)
    shards.write_manifest(value, str(folder))
    run(folder)


def run(folder: pathlib.Path, change=lambda value: None) -> None:
    """Make run.json say what manifest, report and metrics now are, and then change it."""
    value = json.loads((folder / RUN).read_text())
    value["manifest"] = hashlib.sha256((folder / M).read_bytes()).hexdigest()
    for name, entry in value["files"].items():
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    change(value)
    (folder / RUN).write_bytes(manifest_bytes(value))


def setting(*path, value):
    """A damage: one value of the manifest is another."""

    def change(folder):
        def inner(tree):
            for step in path[:-1]:
                tree = tree[step]
            tree[path[-1]] = value

        manifest(folder, inner)

    return change


def configured(*path, value):
    """A damage: the configuration is another, and was so from the start: hash, provenance and config.yaml follow."""

    def change(folder):
        setting("config", *path, value=value)(folder)
        config = json.loads((folder / M).read_text())["config"]
        (folder / CONFIG).write_bytes(example.config_yaml(config))
        for number in range(len(KEYS)):
            edit(folder, number, lambda v: v["provenance"].update(config=config_hash(config)))
        manifest(
            folder,
            lambda m: (m.update(config_hash=config_hash(config)), m["provenance"].update(config=config_hash(config))),
        )
        follow(folder)

    return change


def sign(folder: pathlib.Path) -> None:
    """Make sizes and checksums in the manifest right again."""

    def change(value):
        for path, entry in listed(value).items():
            if (folder / path).is_file():
                data = (folder / path).read_bytes()
                entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    manifest(folder, change)


def follow(folder: pathlib.Path) -> None:
    """Make the whole folder say what its shards and its ledger say: index, kept rows, counts, funnel, card, checksums.
    A sample that says nothing any more keeps its rows; of the index only the places follow."""
    rows = {row.key: row for row in shards.read_index(f"{folder}/{I}")}
    for name in SHARDS:
        with open(folder / "shards" / name, "rb") as file:
            found = {(e.key, e.member): e for e in entries(Reader(file)) if isinstance(e, Entry)}
        for key in {key for key, _ in found} & rows.keys():
            rows[key] = _row(rows[key], name, {member: e for (k, member), e in found.items() if k == key})
    ordered = sorted(rows.values(), key=lambda r: (r.shard, r.json_offset))
    write_table(folder / I, index_table(ordered, list(ordered[0].ratings)))
    outcomes = [_kept(outcome, {row.id: row for row in ordered}) for outcome in _outcomes(folder)]
    for part, start in ((L0, 0), (L1, 7)):
        shards.write_ledger(outcomes[start : start + 7], f"{folder}/{part}")
    counts = shards.count(shards.read_index(f"{folder}/{I}"))
    dropped = collections.Counter(o.rule for o in outcomes if o.status == DROPPED)
    failed = collections.Counter(o.error for o in outcomes if o.status == FAILED)

    def change(value):
        value["members"] = list(counts.members)
        value["counts"] = {k: v for k, v in dataclasses.asdict(counts).items() if k != "members"}
        value["funnel"] = {
            "input": len(outcomes),
            "kept": sum(o.status == KEPT for o in outcomes),
            "dropped": dict(dropped),
            "failed": dict(failed),
        }

    manifest(folder, change)
    _card(folder)


def _card(folder: pathlib.Path) -> None:
    """The card of what the folder now holds, signed with the rest."""
    sign(folder)
    (folder / CARD).write_text(card.card(json.loads((folder / M).read_text())))
    sign(folder)


def _row(row: IndexRow, shard: str, members: dict[str, Entry]) -> IndexRow:
    place = members.pop("json", None)
    at_ = (place.offset, len(place.data)) if place else (row.json_offset, row.json_size)
    images = tuple(Member(e.member, e.offset, len(e.data)) for e in members.values())
    try:
        return index_row(json.loads(place.data if place else b""), shard, *at_, images)
    except (ValueError, LookupError, TypeError, RecursionError):
        return dataclasses.replace(row, shard=shard, json_offset=at_[0], json_size=at_[1], images=images)


def _kept(outcome: Outcome, rows: dict[str, IndexRow]) -> Outcome:
    row = rows.get(outcome.id)
    return (
        outcome
        if row is None or outcome.status != KEPT
        else dataclasses.replace(
            outcome,
            shard=row.shard,
            key=row.key,
            source=row.source,
            title=row.title,
            images=len(row.images),
            scores=example.scores(row),
        )
    )


def _outcomes(folder: pathlib.Path) -> list[Outcome]:
    return [o for part in (L0, L1) for o in outcomes_from_table(pq.read_table(folder / part))]


def members(folder: pathlib.Path, shard: int) -> list[tuple[str, bytes]]:
    """The files of a shard as (name, data)."""
    with open(folder / "shards" / SHARDS[shard], "rb") as file:
        return [(f"{e.key}.{e.member}", e.data) for e in entries(Reader(file)) if isinstance(e, Entry)]


def rewrite(folder: pathlib.Path, shard: int, change) -> None:
    """Write a shard again with the members that `change(members)` returns; the rest follows."""
    changed = change(members(folder, shard))
    with open(folder / "shards" / SHARDS[shard], "wb") as file:
        for name, data in changed:
            tar.add(file, name, data)
        tar.finish(file)
    follow(folder)


def edit(folder: pathlib.Path, number: int, change) -> None:
    """Change the JSON of the sample `number`; the rest follows."""

    def changed(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json_bytes(value)

    raw_json(folder, number, changed)


def raw_json(folder: pathlib.Path, number: int, change) -> None:
    """Change the bytes of the JSON of a sample; the rest follows."""
    rewrite(
        folder,
        number // example.SIZE,
        lambda files: [(name, change(data) if name == f"{KEYS[number]}.json" else data) for name, data in files],
    )


def image(data: bytes, number: int = 0, member: str = "01.jpg", **fields):
    """A damage: other bytes in the place of an image, and the JSON says so (sha256 and `fields`)."""

    def change(value):
        segment = next(s for s in value["context"] + value["output"] if s.get("image") == member)
        segment.update(sha256=hashlib.sha256(data).hexdigest(), **fields)

    def damage(folder):
        rewrite(
            folder,
            number // example.SIZE,
            lambda files: [(name, data if name == f"{KEYS[number]}.{member}" else old) for name, old in files],
        )
        edit(folder, number, change)

    return damage


def patch(folder: pathlib.Path, shard: int, change) -> None:
    """Change the bytes of a shard (a bytearray); card and checksums follow."""
    path = folder / "shards" / SHARDS[shard]
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data) or data)
    _card(folder)


def header(folder: pathlib.Path, shard: int, start: int, change) -> None:
    """Change a tar header and make its checksum right again."""

    def patched(data):
        block = bytearray(data[start : start + 512])
        change(block)
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        data[start : start + 512] = block

    patch(folder, shard, patched)


def index(folder: pathlib.Path, change) -> None:
    """Replace the index by a table with the rows `change(rows)` and sign. Rows may be in any order."""
    table = pq.read_table(folder / I)
    write_table(folder / I, pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema))
    sign(folder)


def ledger(change):
    """A damage: the outcomes of both parts are `change(outcomes)`; funnel and checksums follow."""

    def damage(folder):
        outcomes = list(change(_outcomes(folder)))
        shards.write_ledger(outcomes[:7], f"{folder}/{L0}")
        shards.write_ledger(outcomes[7:], f"{folder}/{L1}")
        manifest(folder, lambda m: [p.update(rows=n) for p, n in zip(m["ledger"], (7, len(outcomes) - 7), strict=True)])
        follow(folder)

    return damage


def outcome(id_: str, **fields):
    """A damage: other values in the ledger's row of this document."""
    return ledger(lambda rows: [dataclasses.replace(row, **fields) if row.id == id_ else row for row in rows])


def first(**fields: Any):
    """A change to rows: other values in the first."""
    return lambda rows: [rows[0] | fields, *rows[1:]]


def write_table(path: pathlib.Path, table: pa.Table) -> None:
    """Write it as a build does, whatever its columns."""
    shards._write_parquet([table], table.schema, str(path))


def encoded(mode: str = "RGB", form: str = "JPEG", size: tuple[int, int] = (24, 16), **options) -> bytes:
    """An image file of another kind than those of a set."""
    file = io.BytesIO()
    PIL.Image.new(mode, size).save(file, form, **options)
    return file.getvalue()


def bomb() -> bytes:
    """A tiny PNG whose header says 60,000 x 60,000."""
    data = bytearray(example.picture(1, "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)
