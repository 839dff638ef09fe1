"""`leafinstruct decontaminate`: make the index of a benchmark (`pipeline/held_out.py`) from any corpus that can be read."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from filters import decontaminate
from pipeline import corpora
from pipeline.held_out import COUNTS, SCHEMA
from pipeline.images.children import normalise
from pipeline.images.faults import ImageFault
from pipeline.images.frames import read_bytes
from pipeline.storage.files import write_bytes
from pipeline.storage.uris import is_http
from schemas.errors import UserError
from schemas.images import open_published
from schemas.records import Document, StoredImage

_MAX_SIDE, _MAX_PIXELS = 512, 50_000_000


def build(sources: list[tuple[str, str]], path: str) -> dict[str, int]:
    """Write the index of these corpora (format, path) to `path`.

    Returns the numbers of items, ids, runs of words and images in it, and of images that could not be read. Raises
    UserError for a source without documents, if the index would be empty, or if `path` is a folder.
    """
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder; --output names the index's file, such as benchmark.parquet in it")
    rows: dict[tuple[str, str], str] = {}
    counts = {"items": 0, "id": 0, "text": 0, "image": 0, "unreadable_images": 0}
    for format, source in sources:
        corpora.check(format, source, benchmark=True)
        for document in _documents(format, source):
            counts["items"] += 1
            for kind, key in _keys(document, counts):
                rows.setdefault((kind, key), document.id)
    for kind, _ in rows:
        counts[kind] += 1
    if not counts["id"] or not counts["text"] + counts["image"]:
        raise UserError(
            f"the index would be empty: {counts['items']} items with no text of {decontaminate.RUN} words "
            "and no image that can be read; give the benchmark's folder with its images"
        )
    table = pa.table(
        {name: [(*keys, item)[at] for keys, item in sorted(rows.items())] for at, name in enumerate(SCHEMA.names)},
        SCHEMA,
    )
    table = table.replace_schema_metadata({COUNTS: json.dumps(counts, sort_keys=True).encode()})
    data = io.BytesIO()
    pq.write_table(table, data, compression="zstd")
    write_bytes(path, data.getvalue())
    return counts


def _documents(format: str, path: str) -> Iterator[Document]:
    for part in corpora.parts(format, path):
        for record in corpora.read(part):
            if not isinstance(record, Document):
                raise UserError(
                    f"{record.location}: {record.error}, {record.detail}; a benchmark is held out whole or not at all"
                )
            yield record


def _keys(document: Document, counts: dict[str, int]) -> Iterator[tuple[str, str]]:
    for known in decontaminate.benchmark_ids(document):
        yield "id", known
    for key, _ in decontaminate.runs(document.texts):
        yield "text", f"{key:016x}"
    for image in document.images:
        if isinstance(image, StoredImage) or is_http(image.uri):
            counts["unreadable_images"] += 1  # nothing is fetched for an index
            continue
        try:
            data = normalise(read_bytes(image.uri), max_side=_MAX_SIDE, max_pixels=_MAX_PIXELS).data
        except (ImageFault, OSError, ValueError):
            counts["unreadable_images"] += 1
            continue
        picture = open_published(data, at_least=decontaminate.HASH_SIDE)
        yield "image", decontaminate.image_hash(picture).hex()
