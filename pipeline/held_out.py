"""The index of a benchmark, and the search for what a document repeats from it.

The index is one small Parquet file with a row for each key: the ids, every run of twelve words (64 bits of its hash)
and the perceptual hash of every image, each with the item that it comes from. `pipeline/decontamination.py` makes it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters import decontaminate
from filters.decontaminate import Hit
from pipeline.storage import uris
from schemas.errors import UserError
from schemas.records import Document

SCHEMA = pa.schema([("kind", pa.string()), ("key", pa.string()), ("item", pa.string())])
DISTANCE = 5  # bits in which hashes of the same image may differ: mmc4's radius for near-duplicates
COUNTS = b"leafinstruct"
"""The key of the counts in the file's metadata."""


def summary(path: str) -> dict[str, Any]:
    """The sha256 of an index, and its counts. Raises UserError if there is none, or an empty one."""
    data, table = _read(path)
    counts: dict[str, Any] = json.loads(table.schema.metadata[COUNTS])
    return {"sha256": hashlib.sha256(data).hexdigest(), **counts}


class Index:
    """An index in memory, read from the file that `pipeline.decontamination.build` wrote.

    Raises UserError as `summary` does.
    """

    def __init__(self, path: str):
        _, table = _read(path)
        found: dict[str, dict[str, str]] = {"id": {}, "text": {}, "image": {}}
        for row in table.to_pylist():
            found[row["kind"]][row["key"]] = row["item"]
        self.ids = found["id"]
        self.runs = {int(key, 16): item for key, item in found["text"].items()}
        self.images = list(found["image"].items())
        self.hashes = np.array([int(key, 16) for key, _ in self.images], np.uint64)

    def hit(self, document: Document, images: Iterable[bytes]) -> Hit | None:
        """The first match: ids, then texts, then the document's images, given as their perceptual hashes."""
        for known in sorted(decontaminate.source_ids(document)):
            if known in self.ids:
                return Hit("id", self.ids[known], known)
        for key, run in decontaminate.runs(document.texts):
            if key in self.runs:
                return Hit("text", self.runs[key], run)
        for image in images:
            place, distance = decontaminate.nearest(image, self.hashes)
            if place >= 0 and distance <= DISTANCE:
                return Hit("image", self.images[place][1], f"{distance} bits from {self.images[place][0]}")
        return None


def _read(path: str) -> tuple[bytes, pa.Table]:
    try:
        data = uris.read_bytes(path)
        table = pq.read_table(io.BytesIO(data))
    except FileNotFoundError:
        raise UserError(f"decontaminate: there is no {path}; leafinstruct decontaminate makes it") from None
    except pa.ArrowException as error:
        raise UserError(f"decontaminate: {path} cannot be read: {error}") from error
    if table.schema.names != SCHEMA.names or not len(table) or COUNTS not in (table.schema.metadata or {}):
        raise UserError(
            f"decontaminate: {path} is no index of a benchmark, or an empty one; leafinstruct decontaminate makes it"
        )
    return data, table
