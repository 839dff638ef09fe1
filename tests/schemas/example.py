"""A small good shard set, written by the real functions: 7 instances in shards of 3, with real little pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pathlib

import numpy as np
import PIL.Image

from pipeline.dataset import card, shards
from schemas.codec import config_hash, json_bytes, key_of, rank_of, shard_name, to_json
from schemas.outcome import Outcome
from schemas.records import Coherence, Drop, ImageDrop, Instance, Provenance, StoredImage, Text

SALT = "pepper"
SIZE = 3
CONFIG = {
    "domains": ["cooking", "gardening", "repair"],
    "coherence": {"matched_at_least": 0.1},
    "shards": {"salt": SALT},
}
PROVENANCE = Provenance("0.1.0", config_hash(CONFIG), "tiny-clip", "tiny-llm", "rate-1", "write-1")
ASPECTS = {
    "fluency": "whole sentences",
    "text_coherence": "a sensible order",
    "completeness": "does not break off",
    "usefulness": "teaches something",
}
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
        Coherence(own, own, (-1.0,) * len(own), 0.05 if several else None, 1.0 if several else None, PROVENANCE.clip),
        dict(zip(ASPECTS, (4.0, 3.5, 4.25, 5.0), strict=True)),
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
    """What became of every input: the instances of these index rows, two dropped documents and a broken one."""
    drop = Drop("word_count", 7.0, 20.0)
    return [
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
                scores=(("coherence", r.coherence),),
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
            "no_images",
            0.0,
            1.0,
            dropped_images=(ImageDrop(0, "a.jpg", "filter_headers", Drop("aspect_ratio", 9.5, 2.0)),),
        ),
        Outcome("doc-broken", "source-1", "docs.jsonl:4", "failed", "read", error="malformed", detail="no segments"),
    ]


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
        shards.write_ledger(ended[at : at + 6], f"{folder}/ledger/part-{i:05d}.parquet")
        for i, at in enumerate(range(0, len(ended), 6))
    ]
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
        counts=shards.count(shards.read_index(f"{folder}/index.parquet")),
        index=index,
        ledger=ledger,
        funnel={
            "input": count + 3,
            "kept": count,
            "dropped": {"word_count": 1, "no_images": 1},
            "failed": {"malformed": 1},
        },
    )
    (folder / "README.md").write_text(card.card(manifest))
    shards.write_manifest(manifest, str(folder))
    return manifest
