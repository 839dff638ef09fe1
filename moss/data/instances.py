"""Reads instances of a dataset folder with their images, through the index, so that nothing else is read."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import PIL.Image
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.checks import index
from schemas.checks.schema import instance_faults
from schemas.codec import from_json, parse_json
from schemas.defects import READ_ERRORS
from schemas.errors import UserError
from schemas.folder import LocalFolder
from schemas.images import open_published
from schemas.records import Instance, Segment, Text

Pictures = dict[str, PIL.Image.Image]


def read(folder: pathlib.Path, sources: Sequence[str] = ()) -> Iterator[tuple[Instance, Pictures]]:
    """The instances in the order of the shards, which is random; only of these sources, if any are given.

    Raises UserError for a folder without an index, or without such an instance, and for a damaged index or instance.
    """
    if not (folder / index.FILE).is_file():
        raise UserError(f"{folder} has no {index.FILE}; give the output folder of `leafinstruct build`")
    where = pc.field("source").isin(list(sources)) if sources else None
    columns = ["shard", "json_offset", "json_size", "images"]
    try:
        rows = pq.read_table(folder / index.FILE, filters=where, columns=columns).to_pylist()
    except READ_ERRORS as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{folder / index.FILE} cannot be read ({said}); copy it or build the folder again") from error
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
        data = _part(file, row["json_offset"], row["json_size"])
        value = parse_json(data)
        for message, pointer in instance_faults(value, len(data)):  # a key, for one, becomes a folder's name
            raise ValueError(f"{pointer} {message}".strip())
        instance = from_json(value)
        members = {member["name"]: _part(file, member["offset"], member["size"]) for member in row["images"]}
    for segment in (*instance.context, *instance.output):
        if not isinstance(segment, Text) and segment.uri not in members:
            raise ValueError(f"the index does not have its image {segment.uri}")
    return instance, {name: open_published(data) for name, data in members.items()}


def _part(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
