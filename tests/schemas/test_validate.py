"""Planted damage that the cheap mode must find: manifest, files, index, ledger, card. (The deep mode: see
test_validate_deep.py.)"""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from schemas.errors import UserError
from schemas.validate import validate
from tests.schemas import example
from tests.schemas.damage import KEYS, SHARDS, first, index, ledger, manifest

M, I, L0, L1, CARD = (
    "manifest.json",
    "index.parquet",
    "ledger/part-00000.parquet",
    "ledger/part-00001.parquet",
    "README.md",
)
S0, S1, S2 = (f"shards/{name}" for name in SHARDS)
ID = {sample[1]["key"]: sample[1]["id"] for sample in example.samples()}


def places(defects) -> set[tuple[str, str, str, str, str]]:
    return {(d.kind, d.file, d.shard, d.key, d.pointer) for d in defects}


def at(kind: str, file: str, key: str = "", pointer: str = "", shard: str = ""):
    """The place of a defect; the shard of a shard's file, or of a key, is understood."""
    if key and not shard:
        shard = SHARDS[KEYS.index(key) // example.SIZE]
    own = file.removeprefix("shards/")
    return kind, file, shard or (own if own in SHARDS else ""), key, pointer


def test_undamaged_set_has_no_defects(good):
    assert validate(good) == []
    assert validate(good, deep=True) == []


def test_empty_set_is_valid(tmp_path):
    example.write(tmp_path, count=0)
    assert validate(tmp_path, deep=True) == []


def test_no_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        validate(tmp_path / "nothing")


def test_defect_says_where_in_one_line(folder):
    index(folder, first(key="0" * 20))
    assert str(validate(folder)[0]).startswith(f"index.parquet {SHARDS[0]} {'0' * 20} /key: is not the key of 'doc-")


def _rename_column(folder):
    table = pq.read_table(folder / I)
    pq.write_table(table.rename_columns(["name", *table.column_names[1:]]), folder / I)


def _fewer_columns(folder):
    pq.write_table(pq.read_table(folder / L1).drop_columns(["detail"]), folder / L1)


def _garble(path):
    path.write_bytes(b"PAR1" + bytes(path.stat().st_size - 4))


def _lose_index_row(folder):
    index(folder, lambda rows: rows[:1] + rows[2:])


def _edit_text(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def _set(*path, value):
    """Set one value of the manifest."""

    def change(folder):
        def inner(tree):
            for step in path[:-1]:
                tree = tree[step]
            tree[path[-1]] = value

        manifest(folder, inner)

    return change


CHEAP = {
    "no manifest": (lambda f: (f / M).unlink(), [at("manifest-missing", M)]),
    "manifest cut": (lambda f: (f / M).write_bytes((f / M).read_bytes()[:400]), [at("manifest-unreadable", M)]),
    "manifest not UTF-8": (lambda f: (f / M).write_bytes(b'{"name": "\xff"}'), [at("manifest-unreadable", M)]),
    "manifest bottomless": (lambda f: (f / M).write_bytes(b"[" * 100_000), [at("manifest-unreadable", M)]),
    "manifest half a character": (_edit_text(M, "Little", "\\ud800"), [at("manifest-unreadable", M)]),
    "manifest is a list": (lambda f: (f / M).write_text("[]"), [at("manifest-schema", M)]),
    "manifest unknown key": (_set("made_at", value="noon"), [at("manifest-schema", M)]),
    "manifest path climbs out": (
        _set("shards", 0, "name", value="../a.tar"),
        [at("manifest-schema", M, pointer="/shards/0/name")],
    ),
    "manifest salt too long": (_set("salt", value="x" * 65), [at("manifest-schema", M, pointer="/salt")]),
    "config changed": (
        _set("config", "coherence", value={}),
        [at("config-hash", M, pointer="/config_hash"), at("config-hash", M, pointer="/provenance/config")],
    ),
    "image count": (_set("counts", "images", value=99), [at("counts", M, pointer="/counts/images")]),
    "domain counts": (_set("counts", "domains", value={"cooking": 7}), [at("counts", M, pointer="/counts/domains")]),
    "member list": (
        _set("members", value=["00.jpg", "00.png", "01.jpg", "01.png", "02.jpg", "03.jpg"]),
        [at("counts", M, pointer="/members"), at("card", CARD, pointer="/dataset_info/features")],
    ),
    "domain list": (
        _set("domains", value=["gardening", "repair"]),
        [
            at("domain", M, pointer="/counts/domains/cooking"),
            *(
                at("domain", I, key, "/domain")
                for key in KEYS
                if example.CONFIG["domains"][int(ID[key][4:]) % 3] == "cooking"
            ),
        ],
    ),
    "shard renamed": (
        lambda f: [
            (f / S2).rename(f / "shards/leafinstruct-00007.tar"),
            _set("shards", 2, "name", value="leafinstruct-00007.tar")(f),
        ],
        [
            at("shard-name", M, pointer="/shards/2/name", shard="leafinstruct-00007.tar"),
            at("index-rows", I, shard="leafinstruct-00007.tar"),
            at("index-rows", I, shard=SHARDS[2]),
        ],
    ),
    "shard size": (
        _set("shard_size", value=4),
        [
            at("shard-size", M, pointer="/shards/0/instances", shard=SHARDS[0]),
            at("shard-size", M, pointer="/shards/1/instances", shard=SHARDS[1]),
        ],
    ),
    "shard too full": (
        _set("shard_size", value=2),
        [
            at("shard-size", M, pointer="/shards/0/instances", shard=SHARDS[0]),
            at("shard-size", M, pointer="/shards/1/instances", shard=SHARDS[1]),
        ],
    ),
    "shard lost": (lambda f: (f / S1).unlink(), [at("file-missing", S1)]),
    "shard is a folder": (lambda f: [(f / S1).unlink(), (f / S1).mkdir()], [at("file-missing", S1)]),
    "shard cut": (lambda f: (f / S1).write_bytes((f / S1).read_bytes()[:10240]), [at("file-size", S1)]),
    "unfinished shard": (
        lambda f: (f / "shards/leafinstruct-00003.tar.ab.tmp").touch(),
        [at("file-stray", "shards/leafinstruct-00003.tar.ab.tmp")],
    ),
    "old ledger part": (
        lambda f: (f / "ledger/part-00002.parquet").touch(),
        [at("file-stray", "ledger/part-00002.parquet")],
    ),
    "index lost": (lambda f: (f / I).unlink(), [at("file-missing", I)]),
    "index garbled": (lambda f: _garble(f / I), [at("index-unreadable", I)]),
    "index renamed column": (_rename_column, [at("file-size", I), at("index-schema", I)]),
    "index row lost": (
        _lose_index_row,
        [
            at("index-rows", I, shard=SHARDS[0]),
            at("ledger-index", L0, KEYS[1]),
            at("counts", M, pointer="/counts/images"),
            *(at("counts", M, pointer=f"/counts/{name}") for name in ("domains", "sources", "licenses")),
        ],
    ),
    "index row twice": (
        lambda f: index(f, lambda rows: [rows[0], rows[0], *rows[2:]]),
        [
            at("index-duplicate", I, KEYS[0], "/id"),
            at("ledger-index", L0, KEYS[1]),
            at("counts", M, pointer="/counts/images"),
            *(at("counts", M, pointer=f"/counts/{name}") for name in ("domains", "sources", "licenses")),
        ],
    ),
    "index order": (lambda f: index(f, lambda rows: [rows[1], rows[0], *rows[2:]]), [at("index-order", I, KEYS[0])]),
    "index key": (
        lambda f: index(f, first(key="0" * 20)),
        [at("index-key", I, "0" * 20, "/key", SHARDS[0]), at("ledger-index", L0, KEYS[0])],
    ),
    "ledger part lost": (lambda f: (f / L1).unlink(), [at("file-missing", L1)]),
    "ledger garbled": (lambda f: _garble(f / L1), [at("ledger-unreadable", L1)]),
    "ledger column lost": (_fewer_columns, [at("file-size", L1), at("ledger-schema", L1)]),
    "ledger row lost": (
        lambda f: ledger(f, 1, lambda rows: rows[:-1]),
        [at("ledger-rows", L1), at("funnel", M, pointer="/funnel/input"), at("funnel", M, pointer="/funnel/failed")],
    ),
    "ledger row twice": (
        lambda f: ledger(f, 1, lambda rows: [*rows[:2], rows[1], *rows[3:]]),
        [at("ledger-duplicate", L1), at("funnel", M, pointer="/funnel/dropped")],
    ),
    "kept elsewhere": (
        lambda f: ledger(f, 0, first(shard=SHARDS[2])),
        [at("ledger-index", L0, KEYS[0], shard=SHARDS[2])],
    ),
    "kept but not in the index": (
        lambda f: ledger(f, 0, first(id="doc-other")),
        [at("ledger-index", L0, KEYS[0]), at("ledger-index", I, KEYS[0])],
    ),
    "kept without a shard": (lambda f: ledger(f, 0, first(shard="")), [("ledger-row", L0, "", KEYS[0], "")]),
    "dropped without a threshold": (
        lambda f: ledger(f, 1, lambda rows: rows[:1] + first(threshold=None)(rows[1:])),
        [at("ledger-row", L1)],
    ),
    "unknown status": (
        lambda f: ledger(f, 1, lambda rows: rows[:1] + first(status="lost")(rows[1:])),
        [at("ledger-row", L1), at("funnel", M, pointer="/funnel/dropped")],
    ),
    "funnel does not add up": (
        _set("funnel", "failed", value={"malformed": 2}),
        [at("funnel", M, pointer="/funnel/input"), at("funnel", M, pointer="/funnel/failed")],
    ),
    "funnel names another rule": (
        _set("funnel", "dropped", value={"word_count": 2}),
        [at("funnel", M, pointer="/funnel/dropped")],
    ),
    "card lost": (lambda f: (f / CARD).unlink(), [at("card-missing", CARD)]),
    "card without front matter": (lambda f: (f / CARD).write_text("# Words\n"), [at("card-unreadable", CARD)]),
    "card front matter broken": (lambda f: (f / CARD).write_text("---\na: [\n---\n"), [at("card-unreadable", CARD)]),
    "card without a column": (
        _edit_text(CARD, "  - name: 02.jpg\n    dtype: image\n", ""),
        [at("card", CARD, pointer="/dataset_info/features")],
    ),
    "card with another count": (
        _edit_text(CARD, "num_examples: 7", "num_examples: 8"),
        [at("card", CARD, pointer="/dataset_info/splits/0/num_examples")],
    ),
}


@pytest.mark.parametrize("name", CHEAP)
def test_cheap_mode_finds_exactly(name, folder):
    damage, expected = CHEAP[name]
    damage(folder)
    found = validate(folder)
    assert places(found) == set(expected)
    assert len(found) == len(expected)  # each once
    assert set(expected) <= places(validate(folder, deep=True))
    json.dumps([vars(d) for d in found]).encode()  # as `--json` prints them
