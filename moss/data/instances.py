"""Reads instances of a dataset folder with their images, through the index, so that nothing else is read."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import PIL.Image
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.checks import index
from schemas.codec import from_json, parse_json
from schemas.errors import UserError
from schemas.folder import LocalFolder
from schemas.images import open_published
from schemas.records import Instance, Segment, Text

Pictures = dict[str, PIL.Image.Image]


def read(folder: pathlib.Path, sources: Sequence[str] = ()) -> Iterator[tuple[Instance, Pictures]]:
    """The instances in the order of the shards, which is random; only of these sources, if any are given.

    Raises UserError for a folder without an index, or without such an instance.
    """
    if not (folder / index.FILE).is_file():
        raise UserError(f"{folder} has no {index.FILE}; give the output folder of `leafinstruct build`")
    where = pc.field("source").isin(list(sources)) if sources else None
    rows = pq.read_table(
        folder / index.FILE, filters=where, columns=["shard", "json_offset", "json_size", "images"]
    ).to_pylist()
    if not rows:
        raise UserError(f"{folder} has no instances of {', '.join(sources) or 'any source'}")
    for row in rows:
        try:
            yield _instance(folder, row)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise UserError(
                f"{folder} has an instance that cannot be read ({type(error).__name__}: {error}); "
                f"`leafinstruct validate {folder} --deep` lists everything that is wrong with it"
            ) from error


def with_pictures(segments: Sequence[Segment], pictures: Pictures) -> list[Text | PIL.Image.Image]:
    """The segments with decoded images in place of image segments, in the same order."""
    return [segment if isinstance(segment, Text) else pictures[segment.uri] for segment in segments]


def _instance(folder: pathlib.Path, row: dict[str, Any]) -> tuple[Instance, Pictures]:
    if pathlib.PurePath(row["shard"]).name != row["shard"]:
        raise ValueError("a shard outside the folder")
    with LocalFolder(str(folder)).open(f"shards/{row['shard']}") as file:
        instance = from_json(parse_json(_part(file, row["json_offset"], row["json_size"])))
        members = {member["name"]: _part(file, member["offset"], member["size"]) for member in row["images"]}
    return instance, {name: open_published(data) for name, data in members.items()}


def _part(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
