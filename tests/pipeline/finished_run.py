"""A finished build's folder for tests: real shards, index, ledger and manifest around made-up scores and answers."""

from __future__ import annotations

import hashlib
import io
import random

import PIL.Image
import PIL.ImageDraw

from pipeline.corpora.controls import cleaned
from pipeline.dataset import ledger, shards
from pipeline.graph import outcomes
from pipeline.images.faults import ImageFault
from pipeline.instances.assemble import assemble
from pipeline.report.dropped import keep_sample
from schemas.codec import config_hash, json_bytes, key_of, rank_of, shard_name, to_json
from schemas.outcome import Outcome
from schemas.records import (
    Coherence,
    Drop,
    Fault,
    GeneratedInstruction,
    ImageDrop,
    InstructedDocument,
    Provenance,
    StoredDocument,
    StoredImage,
    Text,
)

CONFIG = {
    "coherence": {"matched_at_least": 0.1, "mean_at_least": 0.2, "margin_at_least": 0.02, "similarity_at_most": 0.95},
    "ratings": {"lowest_at_least": 2.5, "mean_at_least": 3.0},
    "preset": "leafinstruct",
    "domains": ["cooking", "repair"],
}
PROVENANCE = Provenance("0.1.0", config_hash(CONFIG), "local/dual-encoder", "writer-135m", "a1" * 8, "b2" * 8)
ASPECTS = {
    "fluency": "whole sentences",
    "text_coherence": "a sensible order",
    "completeness": "does not break off",
    "usefulness": "teaches something",
}
HOSTILE = "<script>alert(1)</script>"


def finish(
    folder,
    documents: list[InstructedDocument],
    ended: list[Outcome],
    pictures: dict[str, bytes],
    size: int = 10,
    config: dict = CONFIG,
    opened=lambda image: None,
    dropped_documents: dict[str, StoredDocument] = {},
) -> None:
    """Write everything that a build publishes. `documents` are kept (scored, rated, written); `ended` are the rows of
    all others; `pictures` are stored JPEG files by sha256. Documents are cleaned as when they are read."""
    ordered = sorted(map(cleaned, documents), key=lambda d: rank_of(d.id, "salt"))
    rows, results = list(ended), []
    for number, start in enumerate(range(0, len(ordered), size)):
        samples = []
        for document in ordered[start : start + size]:
            instance = assemble(
                document, key=key_of(document.id), context_free=0.4, min_words=1, salt="salt", provenance=PROVENANCE
            )
            value = to_json(instance)
            images = [s for s in value["context"] + value["output"] if s["type"] == "image"]
            samples.append((json_bytes(value), value, [(s["image"], pictures[s["sha256"]]) for s in images]))
            rows.append(outcomes.kept(document, shard_name(number), instance.key))
        results.append(shards.write_shard(f"{folder}/shards/{shard_name(number)}", samples))
    index_rows = [row for result in results for row in result.rows]
    index = shards.write_index(index_rows, ASPECTS, f"{folder}/index.parquet")
    part = shards.write_ledger(rows, f"{folder}/ledger/part-00000.parquet")
    for outcome in ended:
        if outcome.id in dropped_documents:
            keep_sample(f"{folder}/.work/dropped", dropped_documents[outcome.id], outcome, opened)
    shards.write_manifest(
        shards.manifest(
            name="test",
            provenance=PROVENANCE,
            libraries={"pyarrow": "25"},
            config=config,
            domains=config["domains"],
            rating_aspects=ASPECTS,
            salt="salt",
            shard_size=size,
            shards=results,
            counts=shards.count(index_rows),
            index=index,
            ledger=[part],
            funnel=ledger.funnel(rows).to_json(),
        ),
        str(folder),
    )


def jpeg(seed: int, size: tuple[int, int] = (400, 300)) -> bytes:
    """A picture of a few coloured ellipses."""
    draw = random.Random(seed)
    picture = PIL.Image.new("RGB", size, tuple(draw.randrange(120, 256) for _ in range(3)))
    for _ in range(6):
        x, y, side = draw.randrange(size[0]), draw.randrange(size[1]), draw.randrange(20, 120)
        PIL.ImageDraw.Draw(picture).ellipse((x, y, x + side, y + side), tuple(draw.randrange(256) for _ in range(3)))
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()


def document(number: int, pictures: dict[str, bytes], **changes) -> InstructedDocument:
    """A scored, rated and written document of two texts and two pictures; its pictures are added to `pictures`."""
    images = []
    for i in range(2):
        data = jpeg(number * 2 + i)
        sha256 = hashlib.sha256(data).hexdigest()
        pictures[sha256] = data
        images.append(
            StoredImage(
                f"corpus/{number}-{i}.jpg",
                f"ellipses {number}.{i}",
                width=400,
                height=300,
                sha256=sha256,
                extension="jpg",
            )
        )
    own = (round(0.2 + number % 10 / 50, 4),) * 2
    fields = dict(
        id=f"doc-{number:03d}",
        source="handbook" if number % 3 else "wiki",
        title=f"Title {number}",
        location=f"corpus/docs.jsonl:{number + 1}",
        license="CC0-1.0",
        url=f"https://example.org/{number}",
        segments=(Text(f"First, take part {number}."), images[0], Text("Then *press* it flat."), images[1]),
        coherence=Coherence(own, (0.1, 0.1), (-1.0, 0.3), round(own[0] - 0.1, 4), 1.0, "local/dual-encoder"),
        ratings=dict(zip(ASPECTS, (3.5, 4.0, 3.25, 4.5), strict=True)),
        generated=GeneratedInstruction(f"How do I make part {number}?", "repair", 1),
    )
    return InstructedDocument(**fields | changes)


def hostile(pictures: dict[str, bytes]) -> InstructedDocument:
    """A document that tries to get markup, scripts, links and requests into whatever shows it."""
    base = document(900, pictures)
    lost = ImageDrop(2, "corpus/900-2.gif", "store_images", Drop("min_side", 40, 150))
    return document(
        900,
        pictures,
        id="doc-hostile",
        title=HOSTILE,
        source='"><b>bold</b>',
        url="javascript:alert(2)",
        license=HOSTILE,
        dropped_images=(lost,),
        generated=GeneratedInstruction(f"Do {HOSTILE}?", "cooking", 2),
        segments=(
            Text(f"{HOSTILE} [click](javascript:alert(3)) [there](https://evil.example/) \x1b[31mred"),
            base.images[0],
            Text("![pixel](https://evil.example/pixel.png) <img src=x onerror=alert(4)>"),
            base.images[1],
        ),
    )


def small_run(folder) -> None:
    """Thirteen kept (one hostile), nine dropped by four rules at three stages, two failed."""
    pictures: dict[str, bytes] = {}
    kept = [document(n, pictures) for n in range(12)] + [hostile(pictures)]
    gone = [document(100 + n, pictures) for n in range(9)]
    raw = [StoredDocument(d.id, d.source, d.segments, d.title, d.url, d.license, d.location) for d in gone]
    ended = [outcomes.dropped(raw[n], "filter_text", Drop("min_words", 12 + n, 40)) for n in range(5)]
    ended += [outcomes.dropped(raw[5], "deduplicate", Drop("same_text", 1, 0), "repeats doc-001")]
    ended += [
        outcomes.dropped(gone[6], "filter_coherence", Drop("margin", 0.01, 0.02)),
        outcomes.dropped(gone[7], "filter_coherence", Drop("mean_coherence", 0.15, 0.2)),
        outcomes.dropped(gone[8], "filter_coherence", Drop("margin", -0.03, 0.02)),
    ]
    ended += [
        outcomes.unreadable(Fault("corpus/docs.jsonl:77", "wiki", "corpus/docs.jsonl:77", "not_json", HOSTILE)),
        outcomes.failed(document(200, pictures), "store_images", ImageFault("timeout", "no answer in 20 s")),
    ]
    finish(
        folder,
        kept,
        ended,
        pictures,
        dropped_documents={d.id: d for d in gone},
        opened=lambda image: PIL.Image.open(io.BytesIO(pictures[image.sha256])),
    )
