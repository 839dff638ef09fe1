"""The index: one row per instance, with columns to filter by and the byte ranges of its files in the shard."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Member:
    """An image inside a shard: the `size` bytes from `offset` are the image file."""

    name: str
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class IndexRow:
    """One instance. `shard` is the file name under shards/; offsets and sizes are bytes; scores as in the JSON.

    The file has a column for each field; `ratings` is a struct with a field for each aspect. `ocr` is the text in the
    images in reading order, one line for each line of text; None if the images were not read.
    """

    key: str
    id: str
    shard: str
    domain: str
    source: str
    license: str
    url: str
    title: str
    instruction: str
    coherence: float
    margin: float | None
    recall_at_1: float | None
    ratings: Mapping[str, float]
    n_context_texts: int
    n_context_images: int
    n_output_texts: int
    n_output_images: int
    json_offset: int
    json_size: int
    images: tuple[Member, ...]
    ocr: str | None


def index_row(
    instance: Mapping[str, Any], shard: str, json_offset: int, json_size: int, images: tuple[Member, ...]
) -> IndexRow:
    """The row of an instance (given as its JSON dict) whose files have these byte ranges in the shard."""
    scores = {name: value for name, value in instance["scores"].items() if not isinstance(value, list)}
    same = {
        name: instance[name] for name in ("key", "id", "domain", "source", "license", "url", "title", "instruction")
    }
    return IndexRow(
        **same,
        **scores,
        shard=shard,
        n_context_texts=_count(instance["context"], "text"),
        n_context_images=_count(instance["context"], "image"),
        n_output_texts=_count(instance["output"], "text"),
        n_output_images=_count(instance["output"], "image"),
        json_offset=json_offset,
        json_size=json_size,
        images=images,
        ocr=_read(instance["context"] + instance["output"]),
    )


def _read(segments: Sequence[Mapping[str, Any]]) -> str | None:
    found = [s["ocr"] for s in segments if "ocr" in s]
    return "\n".join(filter(None, found)) if found else None


def _count(segments: Sequence[Mapping[str, Any]], kind: str) -> int:
    return sum(s["type"] == kind for s in segments)
