"""A small good shard set, written by the real functions: 7 instances in shards of 3, with real little pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pathlib

import numpy as np
import PIL.Image
import yaml

from pipeline.dataset import card, shards
from schemas.checks.card import ADDED
from schemas.codec import config_hash, json_bytes, key_of, manifest_bytes, mean_rating, rank_of, shard_name, to_json
from schemas.index import IndexRow
from schemas.outcome import Outcome
from schemas.records import Coherence, Drop, ImageDrop, Instance, Provenance, StoredImage, Text

SALT = "pepper"
SIZE = 3
CONFIG = {
    "preset": "little",
    "domains": ["cooking", "gardening", "repair"],
    "images": {"max_side": 64, "max_bytes": 1000000},
    "excerpt": {"max_words": 40, "max_images": 4, "min_words": 5},
    "coherence": {"matched_at_least": 0.1, "mean_at_least": 0.15, "margin_at_least": 0.02, "similarity_at_most": 0.95},
    "ratings": {"lowest_at_least": 3.0, "mean_at_least": 4.0},
    "shards": {"salt": SALT, "size": SIZE},
    "rules": {
        "document": [
            {"rule": "text.word_count", "at_least": 20, "at_most": 2000},
            {"rule": "repetition.word_repetition", "length": 5, "at_most": 0.4},
        ],
        "image": [{"rule": "image.aspect_ratio", "at_most": 2}, {"rule": "image.file_type", "allowed": ["jpg"]}],
        "after_images": [{"rule": "text.image_count", "at_least": 1, "at_most": 12}],
    },
}
"""As the pipeline's, but for what no check looks at."""
PROVENANCE = Provenance("0.1.0", config_hash(CONFIG), "tiny-clip", "tiny-llm", "rate-1", "write-1")
ASPECTS = {
    "fluency": "whole sentences",
    "text_coherence": "a sensible order",
    "completeness": "does not break off",
    "usefulness": "teaches something",
}
RATINGS = dict(zip(ASPECTS, (4.0, 3.5, 4.25, 5.0), strict=True))
LIBRARIES = {"pyarrow": "25.0.1", "pillow": "12.3.0"}


def picture(seed: int, form: str = "JPEG", size: tuple[int, int] = (24, 16)) -> bytes:
    """A smooth computed picture; the same bytes for the same seed."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    pixels = np.stack([(x * (seed + 3)) % 256, (y * 11 + seed) % 256, (x + y) * 5 % 256], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def instance(number: int) -> tuple[Instance, dict[str, bytes]]:
    """An instance with 1 to 3 pictures (every third one a PNG) and its picture files by sha256."""
    files, images = {}, []
    for i in range(1 + number % 3):
        data = picture(10 * number + i, "PNG" if (number + i) % 3 == 2 else "JPEG")
        digest = hashlib.sha256(data).hexdigest()
        files[digest] = data
        images.append(
            StoredImage(
                f"images/{number}-{i}",
                f"alt {i}",
                width=24,
                height=16,
                sha256=digest,
                extension="png" if data.startswith(b"\x89PNG") else "jpg",
            )
        )
    own = tuple(round(0.2 + 0.01 * (number + i), 4) for i in range(len(images)))
    other = tuple(round(cosine - 0.05, 4) for cosine in own)
    several = len(images) > 1
    context = (Text(f"Before we start on job {number}."), images[0]) if several else ()
    output = (
        Text(f"## Job {number}"),
        Text("Do it with care; é, 字 and “quotes” are kept."),
        *(images[1:] if several else images),
        Text("Then clean up."),
    )
    id_ = f"doc-{number}"
    return Instance(
        id_,
        key_of(id_),
        f"Explain how job {number} is done.",
        context,
        output,
        CONFIG["domains"][number % 3],
        f"Job {number}",
        f"source-{number % 2}",
        f"https://example.org/{number}",
        "CC-BY-4.0" if number % 2 else "",
        Coherence(
            own,
            other,
            (-1.0, 0.5, 0.25)[: len(own)],
            0.05 if several else None,
            0.5 if several else None,
            PROVENANCE.clip,
        ),
        RATINGS,
        PROVENANCE,
    ), files


def sample(number: int) -> shards.Sample:
    """The same as the writer takes it."""
    made, files = instance(number)
    value = to_json(made)
    pictures = [s for s in value["context"] + value["output"] if s["type"] == "image"]
    return json_bytes(value), value, [(s["image"], files[s["sha256"]]) for s in pictures]


def samples(count: int = 7) -> list[shards.Sample]:
    """`count` samples in the order of the salted hash."""
    return sorted((sample(i) for i in range(count)), key=lambda s: rank_of(s[1]["id"], SALT))


def outcomes(rows) -> list[Outcome]:
    """What became of every input, in the order of the salted hash: the instances of these index rows, and documents
    that ended at other stages."""
    drop, lost = Drop("word_count", 7.0, 20.0), ImageDrop(0, "a.jpg", "filter_headers", Drop("aspect_ratio", 9.5, 2.0))
    coherence = (("coherence", 0.2), ("margin", 0.01), ("recall_at_1", 0.5))
    rated = (
        ("coherence", 0.2),
        ("margin", 0.05),
        ("recall_at_1", 0.5),
        *dict(RATINGS, completeness=2.5).items(),
        ("mean_rating", 3.75),
    )
    ended = [
        *(
            Outcome(
                r.id,
                r.source,
                "docs.jsonl:1",
                "kept",
                "assemble",
                shard=r.shard,
                key=r.key,
                images=len(r.images),
                scores=scores(r),
                title=r.title,
            )
            for r in rows
        ),
        Outcome("doc-short", "source-0", "docs.jsonl:2", "dropped", "filter_text", *dataclasses.astuple(drop)),
        Outcome(
            "doc-tall",
            "source-0",
            "docs.jsonl:3",
            "dropped",
            "filter_headers",
            "image_count",
            0.0,
            1.0,
            dropped_images=(lost,),
        ),
        Outcome("doc-broken", "source-1", "docs.jsonl:4", "failed", "read", error="malformed", detail="no segments"),
        Outcome(
            "doc-twice",
            "source-1",
            "docs.jsonl:5",
            "dropped",
            "deduplicate",
            "duplicate_text",
            2.0,
            1.0,
            detail="repeats doc-1",
        ),
        Outcome(
            "doc-apart",
            "source-1",
            "docs.jsonl:6",
            "dropped",
            "filter_coherence",
            "margin",
            0.01,
            0.02,
            images=2,
            dropped_images=(lost,),
            scores=coherence,
        ),
        Outcome(
            "doc-poor",
            "source-1",
            "docs.jsonl:7",
            "dropped",
            "filter_ratings",
            "completeness",
            2.5,
            3.0,
            images=2,
            dropped_images=(lost, ImageDrop(2, "c.jpg", "filter_images", Drop("matched_score", 0.05, 0.1))),
            scores=rated,
        ),
    ]
    return sorted(ended, key=lambda o: rank_of(o.id, SALT))


def scores(row: IndexRow) -> tuple[tuple[str, float], ...]:
    """The scores of a kept document, as the ledger has them."""
    scores = (
        ("coherence", row.coherence),
        ("margin", row.margin),
        ("recall_at_1", row.recall_at_1),
        *row.ratings.items(),
        ("mean_rating", mean_rating(row.ratings)),
        ("attempts", 1.0),
    )
    return tuple((name, value) for name, value in scores if value is not None)


def config_yaml(config: dict) -> bytes:
    """The published file of a configuration."""
    return yaml.safe_dump({name: value for name, value in config.items() if name not in ADDED}).encode()


def write(folder: pathlib.Path, count: int = 7) -> dict:
    """Write the whole set as the pipeline does; its manifest."""
    ordered = samples(count)
    results = [
        shards.write_shard(f"{folder}/shards/{shard_name(i)}", ordered[at : at + SIZE])
        for i, at in enumerate(range(0, count, SIZE))
    ]
    rows = [row for result in results for row in result.rows]
    index = shards.write_index(rows, ASPECTS, f"{folder}/index.parquet")
    ended = outcomes(rows)
    ledger = [
        shards.write_ledger(ended[at : at + 7], f"{folder}/ledger/part-{i:05d}.parquet")
        for i, at in enumerate(range(0, len(ended), 7))
    ]
    counts = shards.count(shards.read_index(f"{folder}/index.parquet"))
    manifest = shards.manifest(
        name="Little jobs",
        provenance=PROVENANCE,
        libraries=LIBRARIES,
        config=CONFIG,
        domains=CONFIG["domains"],
        rating_aspects=ASPECTS,
        salt=SALT,
        shard_size=SIZE,
        shards=results,
        counts=counts,
        index=index,
        ledger=ledger,
        funnel={
            "input": count + 6,
            "kept": count,
            "failed": {"malformed": 1},
            "dropped": dict.fromkeys(("word_count", "image_count", "duplicate_text", "margin", "completeness"), 1),
        },
        inputs=[{"corpus": "native:jobs", "files": 3, "bytes": 4000, "sha256": "5" * 64}],
    )
    files = {
        "README.md": card.card(manifest).encode(),
        "config.yaml": config_yaml(CONFIG),
    }
    of_run = {
        "metrics.json": b'{"read": {"passed": 3}}',
        "report.html": b"<!doctype html><title>Little jobs</title>",
    }
    manifest = shards.with_files(manifest, files)
    record = {"run.json": manifest_bytes(shards.run_record(manifest, of_run))}
    for name, data in (files | of_run | record).items():
        (folder / name).write_bytes(data)
    shards.write_manifest(manifest, str(folder))
    return manifest
