"""Planted damage to the index and the ledger: rows without sense, and Parquet files that no build writes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow import LEDGER
from schemas.codec import rank_of
from schemas.records import Drop, ImageDrop
from tests.schemas import example
from tests.schemas.damage import (
    KEYS,
    L0,
    L1,
    SHARDS,
    I,
    M,
    at,
    configured,
    first,
    index,
    ledger,
    outcome,
    sign,
    write_table,
)
from tests.schemas.prove import prove

K0, K1, K2, K3, K4, K5, K6 = KEYS
KEPT = next(value["id"] for _, value, _ in example.samples() if value["key"] == K0)
RATED = dict(example.RATINGS, completeness=2.5)


def _rows(change):
    return lambda f: index(f, change)


def _index(**fields):
    """Other values in the index's first row."""
    return _rows(first(**fields))


def _scores(id_: str, **fields):
    """Other scores in a row of the ledger; None takes one out."""

    def change(rows):
        for row in rows:
            scores = dict(row.scores) | fields if row.id == id_ else dict(row.scores)
            yield dataclasses.replace(row, scores=tuple((k, v) for k, v in scores.items() if v is not None))

    return ledger(change)


def _kept(**fields):
    """Other values in the ledger's row of a kept document, which the index no longer bears out."""

    def damage(folder):
        for name in (L0, L1):
            rows = pq.read_table(folder / name).to_pylist()
            rows = [row | fields if row["id"] == KEPT else row for row in rows]
            write_table(folder / name, pa.Table.from_pylist(rows, schema=LEDGER))
        sign(folder)

    return damage


def _named(**fields: float) -> list[dict[str, Any]]:
    """The scores of that row as its column has them, some of them others."""
    scores = dict(coherence=0.23, margin=0.05, recall_at_1=0.5, **example.RATINGS, mean_rating=4.1875, attempts=1.0)
    return [{"name": name, "value": value} for name, value in (scores | fields).items()]


def _without_id(rows):
    changed = [dataclasses.replace(row, id=" ") if row.id == "doc-short" else row for row in rows]
    return sorted(changed, key=lambda row: rank_of(row.id, example.SALT))


def _lost(
    index: int = 0,
    stage: str = "filter_headers",
    rule: str = "aspect_ratio",
    value: float = 9.5,
    threshold: float = 2.0,
) -> ImageDrop:
    return ImageDrop(index, "a.jpg", stage, Drop(rule, value, threshold))


def _rewritten(name: str, change, **options):
    """A table written by other hands."""

    def damage(folder):
        table = change(pq.read_table(folder / name))
        if options:
            pq.write_table(table, folder / name, **options)
        else:
            write_table(folder / name, table)
        sign(folder)

    return damage


def _same(table):
    return table


def _with_metadata(table):
    return table.replace_schema_metadata({"note": "more"})


def _renamed(table):
    return table.rename_columns(["name", *table.column_names[1:]])


def _nullable(name):
    """The same rows, but one column may be null."""

    def change(table):
        at_ = table.schema.get_field_index(name)
        return table.cast(table.schema.set(at_, table.schema.field(at_).with_nullable(True)))

    return change


def _nulls(table):
    column = table.schema.get_field_index("title")
    values = [None, *table["title"].to_pylist()[1:]]
    return table.set_column(column, pa.field("title", pa.string()), pa.array(values, pa.string()))


def _gap(folder):
    """Bytes that no column owns, before the footer."""
    data = (folder / I).read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    (folder / I).write_bytes(data[:-footer] + b"hidden" + data[-footer:])
    sign(folder)


def _garble(name):
    def damage(folder):
        size = (folder / name).stat().st_size
        (folder / name).write_bytes(b"PAR1" + bytes(size - 4))
        sign(folder)

    return damage


def _swap(rows):
    return [rows[1], rows[0], *rows[2:]]


def _move(rows):
    rows[0]["images"][1]["offset"] += 512
    return rows


def _member(rows):
    rows[0]["images"][1]["name"] = "05.jpg"
    return rows


CASES = {
    "index garbled": (_garble(I), [at("index-unreadable", I)]),
    "index: renamed column": (_rewritten(I, _renamed), [at("index-schema", I)]),
    "index: a column too many": (
        _rewritten(I, lambda t: t.append_column("split", pa.array(["train"] * len(t)))),
        [at("index-schema", I)],
    ),
    "index: a column may be null": (_rewritten(I, _nullable("title")), [at("index-schema", I)]),
    "index: nulls": (_rewritten(I, _nulls), [at("index-schema", I)]),
    "index: metadata in the schema": (_rewritten(I, _with_metadata), [at("index-schema", I)]),
    "index: several row groups": (_rewritten(I, _same, row_group_size=2, compression="zstd"), [at("index-form", I)]),
    "index: another codec": (_rewritten(I, _same, compression="snappy"), [at("index-form", I)]),
    "index: another encoding": (
        _rewritten(I, _same, compression="zstd", use_dictionary=False, column_encoding={"key": "DELTA_BYTE_ARRAY"}),
        [at("index-form", I)],
    ),
    "index: bytes between columns and footer": (_gap, [at("index-form", I)]),
    "index row lost": (
        _rows(lambda rows: rows[:1] + rows[2:]),
        [
            at("index-place", I, K2, "/json_offset"),
            at("ledger-index", L0, K1),
            at("index-rows", I, shard=SHARDS[0]),
            at("counts", M, pointer="/counts/domains"),
            at("counts", M, pointer="/counts/sources"),
            at("counts", M, pointer="/counts/licenses"),
            at("counts", M, pointer="/counts/images"),
        ],
    ),
    "index row twice": (
        _rows(lambda rows: [rows[0], rows[0], *rows[2:]]),
        [
            at("index-duplicate", I, K0, "/id"),
            at("index-place", I, K0, "/json_offset"),
            at("index-place", I, K2, "/json_offset"),
            at("counts", M, pointer="/counts/domains"),
            at("counts", M, pointer="/counts/sources"),
            at("counts", M, pointer="/counts/licenses"),
            at("counts", M, pointer="/counts/images"),
        ],
    ),
    "index order": (
        _rows(_swap),
        [
            at("index-place", I, K1, "/json_offset"),
            at("ledger-index", L0, K0),
            at("index-order", I, K0),
            at("index-place", I, K0, "/json_offset"),
        ],
    ),
    "index key": (
        _index(key="0" * 20),
        [at("index-key", I, "00000000000000000000", "/key", shard=SHARDS[0]), at("ledger-index", L0, K0, "/key")],
    ),
    "index: id of another": (
        _index(id="doc-99"),
        [
            at("index-key", I, K0, "/key"),
            at("ledger-index", L0, K0),
            at("ledger-index", L0, K1),
            at("ledger-index", L0, K2),
            at("ledger-index", I, K0),
            at("index-order", I, K1),
        ],
    ),
    "index: shard that is not there": (
        _index(shard="leafinstruct-00009.tar"),
        [
            at("ledger-index", L0, K0, "/shard"),
            at("index-order", I, K1, "/shard"),
            at("index-place", I, K1, "/json_offset"),
            at("index-rows", I, shard=SHARDS[0]),
            at("index-rows", I, shard="leafinstruct-00009.tar"),
        ],
    ),
    "index: NaN": (
        _index(coherence=float("nan")),
        [at("index-value", I, K0, "/coherence"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: coherence out of range": (
        _index(coherence=1.5),
        [at("index-value", I, K0, "/coherence"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: recall out of range": (
        _index(recall_at_1=-0.25),
        [at("index-value", I, K0, "/recall_at_1"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: too many decimals": (
        _index(margin=0.12345),
        [at("index-value", I, K0, "/margin"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: margin without recall": (
        _index(recall_at_1=None),
        [at("index-value", I, K0, "/margin"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: no margin": (
        _index(margin=None, recall_at_1=None),
        [at("ledger-index", L0, K0, "/scores")],
    ),
    "index: rating out of range": (
        _index(ratings=dict(example.RATINGS, fluency=5.5)),
        [at("index-value", I, K0, "/ratings"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: coherence below the threshold": (
        _index(coherence=0.1),
        [at("threshold", I, K0, "/coherence"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: margin below the threshold": (
        _index(margin=0.01),
        [at("threshold", I, K0, "/margin"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: rating below the threshold": (
        _index(ratings=dict(example.RATINGS, fluency=2.0)),
        [at("threshold", I, K0, "/ratings"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: mean rating below the threshold": (
        _index(ratings=dict.fromkeys(example.RATINGS, 3.5)),
        [at("threshold", I, K0, "/ratings"), at("ledger-index", L0, K0, "/scores")],
    ),
    "index: no text in the output": (_index(n_output_texts=0), [at("index-value", I, K0, "/n_output_texts")]),
    "index: more images than it names": (
        _index(n_output_images=7),
        [at("index-value", I, K0, "/images"), at("threshold", I, K0, "/images")],
    ),
    "index: images numbered badly": (
        _rows(_member),
        [at("index-value", I, K0, "/images"), at("counts", M, pointer="/members")],
    ),
    "index: JSON elsewhere": (_index(json_offset=511), [at("index-place", I, K0, "/json_offset")]),
    "index: JSON before the file": (_index(json_offset=-512), [at("index-place", I, K0, "/json_offset")]),
    "index: JSON of no size": (
        _index(json_size=0),
        [at("index-place", I, K0, "/json_offset"), at("index-place", I, K1, "/json_offset")],
    ),
    "index: image elsewhere": (_rows(_move), [at("index-place", I, K0, "/json_offset")]),
    "index: unknown domain": (
        _index(domain="magic"),
        [at("domain", I, K0, "/domain"), at("counts", M, pointer="/counts/domains")],
    ),
    "index: another source": (
        _index(source="elsewhere"),
        [at("ledger-index", L0, K0, "/source"), at("counts", M, pointer="/counts/sources")],
    ),
    "index: another title": (_index(title="x"), [at("ledger-index", L0, K0, "/title")]),
    "index: another licence": (_index(license="MIT"), [at("counts", M, pointer="/counts/licenses")]),
    "ledger garbled": (_garble(L1), [at("ledger-unreadable", L1)]),
    "ledger: column lost": (_rewritten(L1, lambda t: t.drop_columns(["detail"])), [at("ledger-schema", L1)]),
    "ledger: another type": (
        _rewritten(L1, lambda t: t.set_column(12, "images", t["images"].cast(pa.int32()))),
        [at("ledger-schema", L1)],
    ),
    "ledger: several row groups": (
        _rewritten(L1, _same, row_group_size=2, compression="zstd"),
        [at("ledger-form", L1)],
    ),
    "ledger: metadata in the schema": (_rewritten(L1, _with_metadata), [at("ledger-schema", L1)]),
    "ledger row lost": (
        ledger(lambda rows: [row for row in rows if row.id != KEPT]),
        [at("funnel", M, pointer="/funnel/kept"), at("ledger-index", I, K0)],
    ),
    "ledger row twice": (ledger(lambda rows: [*rows[:8], rows[7], *rows[8:]]), [at("ledger-duplicate", L1)]),
    "ledger order": (ledger(_swap), [at("ledger-order", L0)]),
    "ledger: an input that nobody kept": (
        outcome(
            "doc-short",
            status="kept",
            stage="assemble",
            rule="",
            value=None,
            threshold=None,
            shard=SHARDS[0],
            key=K0,
            images=1,
            scores=tuple(example.RATINGS.items()),
        ),
        [at("funnel", M, pointer="/funnel/kept"), at("ledger-row", L1, K0, "/scores")],
    ),
    "ledger: kept elsewhere": (_kept(shard=SHARDS[2]), [at("ledger-index", L0, K0, "/shard", shard=SHARDS[2])]),
    "ledger: kept under another key": (_kept(key=K1), [at("ledger-index", L0, K1, "/key")]),
    "ledger: another source": (_kept(source="elsewhere"), [at("ledger-index", L0, K0, "/source")]),
    "ledger: another title": (_kept(title="x"), [at("ledger-index", L0, K0, "/title")]),
    "ledger: another number of images": (_kept(images=2), [at("ledger-index", L0, K0, "/images")]),
    "ledger: kept without a shard": (_kept(shard=""), [at("ledger-row", L0, K0, "/shard")]),
    "ledger: kept by a rule": (
        _kept(rule="word_count", value=1.0, threshold=20.0),
        [at("ledger-row", L0, K0, "/rule")],
    ),
    "ledger: kept with an error": (_kept(error="malformed"), [at("ledger-row", L0, K0, "/error")]),
    "ledger: kept with a detail": (_kept(detail="but"), [at("ledger-row", L0, K0, "/detail")]),
    "ledger: kept at another stage": (_kept(stage="filter_ratings"), [at("ledger-row", L0, K0, "/stage")]),
    "ledger: kept without images": (_kept(images=0), [at("ledger-row", L0, K0, "/images")]),
    "ledger: kept with another coherence": (
        _kept(scores=_named(coherence=0.9)),
        [at("ledger-index", L0, K0, "/scores")],
    ),
    "ledger: unknown status": (
        outcome("doc-short", status="lost"),
        [at("funnel", M, pointer="/funnel/input"), at("ledger-row", L1, pointer="/status")],
    ),
    "ledger: without an id": (ledger(_without_id), [at("ledger-row", L1, pointer="/id")]),
    "ledger: dropped without a threshold": (
        outcome("doc-short", threshold=None),
        [at("ledger-row", L1, pointer="/threshold")],
    ),
    "ledger: dropped without a rule": (outcome("doc-short", rule=""), [at("ledger-row", L1, pointer="/rule")]),
    "ledger: dropped with a shard": (outcome("doc-short", shard=SHARDS[0]), [at("ledger-row", L1, pointer="/shard")]),
    "ledger: dropped with an error": (
        outcome("doc-short", error="malformed"),
        [at("ledger-row", L1, pointer="/error")],
    ),
    "ledger: dropped at a made-up stage": (
        outcome("doc-short", stage="judge"),
        [at("ledger-row", L1, pointer="/stage")],
    ),
    "ledger: dropped at a stage that drops nothing": (
        outcome("doc-short", stage="read"),
        [at("ledger-row", L1, pointer="/stage")],
    ),
    "ledger: dropped by a rule of another stage": (
        outcome("doc-short", rule="margin"),
        [at("ledger-row", L1, pointer="/value")],
    ),
    "ledger: dropped by a rule that the preset lacks": (
        outcome("doc-short", rule="alphabetic_words"),
        [at("ledger-row", L1, pointer="/value")],
    ),
    "ledger: dropped with a value that passes": (
        outcome("doc-short", value=21.0),
        [at("ledger-row", L1, pointer="/value")],
    ),
    "ledger: dropped with a value at the threshold": (
        outcome("doc-short", value=20.0),
        [at("ledger-row", L1, pointer="/value")],
    ),
    "ledger: dropped by another threshold": (
        outcome("doc-short", threshold=30.0),
        [at("ledger-row", L1, pointer="/value")],
    ),
    "ledger: dropped with NaN": (outcome("doc-short", value=float("nan")), [at("ledger-row", L1, pointer="/value")]),
    "ledger: dropped with infinity": (
        outcome("doc-short", value=float("-inf")),
        [at("ledger-row", L1, pointer="/value")],
    ),
    "ledger: repeats nothing": (outcome("doc-twice", value=1.0), [at("ledger-row", L0, pointer="/value")]),
    "ledger: image count that is not the number of images": (
        outcome("doc-tall", images=3),
        [at("ledger-row", L1, pointer="/images")],
    ),
    "ledger: failed with a shard": (outcome("doc-broken", shard=SHARDS[0]), [at("ledger-row", L0, pointer="/shard")]),
    "ledger: failed with a rule": (
        outcome("doc-broken", rule="word_count", value=1.0, threshold=2.0),
        [at("ledger-row", L0, pointer="/rule")],
    ),
    "ledger: failed without an error": (outcome("doc-broken", error=""), [at("ledger-row", L0, pointer="/error")]),
    "ledger: failed at a made-up stage": (
        outcome("doc-broken", stage="judge"),
        [at("ledger-row", L0, pointer="/stage")],
    ),
    "ledger: failed with a detail of megabytes": (
        outcome("doc-broken", detail="x" * 2000000),
        [at("ledger-row", L0, pointer="/detail")],
    ),
    "ledger: a negative number of images": (
        outcome("doc-broken", images=-1),
        [at("ledger-row", L0, pointer="/images")],
    ),
    "ledger: scores before the scoring": (
        outcome("doc-short", scores=(("coherence", 0.2),)),
        [at("ledger-row", L1, pointer="/scores")],
    ),
    "ledger: ratings before the rating": (_scores("doc-apart", fluency=4.0), [at("ledger-row", L0, pointer="/scores")]),
    "ledger: scores that are missing": (_scores("doc-apart", margin=None), [at("ledger-row", L0, pointer="/scores")]),
    "ledger: a score that nobody knows": (_scores("doc-poor", beauty=3.0), [at("ledger-row", L0, pointer="/scores")]),
    "ledger: a score twice": (
        outcome("doc-apart", scores=(("coherence", 0.2), ("coherence", 0.3), ("margin", 0.01), ("recall_at_1", 0.5))),
        [at("ledger-row", L0, pointer="/scores")],
    ),
    "ledger: score out of range": (_scores("doc-apart", recall_at_1=1.5), [at("ledger-row", L0, pointer="/scores")]),
    "ledger: score with too many decimals": (
        _scores("doc-apart", coherence=0.200001),
        [at("ledger-row", L0, pointer="/scores")],
    ),
    "ledger: score that is NaN": (
        _scores("doc-apart", coherence=float("nan")),
        [at("ledger-row", L0, pointer="/scores")],
    ),
    "ledger: mean rating that is not the mean": (
        _scores("doc-poor", mean_rating=4.5),
        [at("ledger-row", L0, pointer="/scores")],
    ),
    "ledger: dropped for another margin than it has": (
        _scores("doc-apart", margin=0.3),
        [at("ledger-row", L0, pointer="/value")],
    ),
    "ledger: passed with a coherence below the threshold": (
        _scores("doc-apart", coherence=0.1),
        [at("ledger-row", L0, pointer="/scores")],
    ),
    "ledger: passed with a margin below the threshold": (
        _scores("doc-poor", margin=0.0),
        [at("ledger-row", L0, pointer="/scores")],
    ),
    "ledger: dropped for a rating that is not the lowest": (
        outcome(
            "doc-poor",
            rule="usefulness",
            value=2.9,
            scores=(
                ("coherence", 0.2),
                ("margin", 0.05),
                ("recall_at_1", 0.5),
                *(RATED | {"usefulness": 2.9}).items(),
                ("mean_rating", 3.225),
            ),
        ),
        [at("ledger-row", L0, pointer="/rule")],
    ),
    "ledger: attempts that nobody makes": (_kept(scores=_named(attempts=9.0)), [at("ledger-row", L0, K0, "/scores")]),
    "ledger: an image lost twice": (
        outcome("doc-apart", dropped_images=(_lost(), _lost())),
        [at("ledger-row", L0, pointer="/dropped_images/1/index")],
    ),
    "ledger: images lost out of order": (
        outcome("doc-apart", dropped_images=(_lost(2), _lost())),
        [at("ledger-row", L0, pointer="/dropped_images/1/index")],
    ),
    "ledger: an image lost that it never had": (
        outcome("doc-tall", dropped_images=(_lost(5),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/index")],
    ),
    "ledger: an image lost at a negative place": (
        outcome("doc-tall", dropped_images=(_lost(-1),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/index")],
    ),
    "ledger: an image lost after the end": (
        outcome("doc-tall", dropped_images=(_lost(0, "filter_images", "matched_score", 0.05, 0.1),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/stage")],
    ),
    "ledger: an image lost at a stage that takes out none": (
        outcome("doc-tall", dropped_images=(_lost(stage="filter_text"),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/stage")],
    ),
    "ledger: an image lost by no rule": (
        outcome("doc-tall", dropped_images=(_lost(rule=""),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/drop")],
    ),
    "ledger: an image lost by a rule that the preset lacks": (
        outcome("doc-tall", dropped_images=(_lost(rule="longer_side"),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/drop")],
    ),
    "ledger: an image lost with a value that passes": (
        outcome("doc-tall", dropped_images=(_lost(value=1.5),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/drop")],
    ),
    "ledger: an image lost with NaN": (
        outcome("doc-tall", dropped_images=(_lost(value=float("nan")),)),
        [at("ledger-row", L1, pointer="/dropped_images/0/drop")],
    ),
    "ledger: an image lost for its match, by another threshold": (
        outcome("doc-poor", dropped_images=(_lost(2, "filter_images", "matched_score", 0.05, 0.5),)),
        [at("ledger-row", L0, pointer="/dropped_images/0/drop")],
    ),
    "ledger: an image that could not be had, and was measured": (
        outcome("doc-apart", dropped_images=(_lost(0, "store_images", "truncated", 0.5, 1.0),)),
        [at("ledger-row", L0, pointer="/dropped_images/0/drop")],
    ),
    "index: a threshold that was lower": (
        configured("coherence", "mean_at_least", value=0.23),
        [
            at("ledger-row", L0, pointer="/scores"),
            at("threshold", I, K4, "/coherence"),
            at("ledger-row", L1, K4, "/scores"),
            at("threshold", I, K6, "/coherence"),
            at("ledger-row", L1, K6, "/scores"),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cheap_mode_finds_exactly(name, folder):
    prove(folder, *CASES[name], deep=False)
