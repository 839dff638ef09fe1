"""Random access to finished instances: the index gives the byte ranges in the shards, and only these are read.

A folder may be untrusted: its files cannot make the reader open files outside of it, and damage is a UserError.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence

import jsonschema
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage.files import open_bytes
from schemas.arrow import is_index
from schemas.codec import Json, parse_json
from schemas.defects import READ_ERRORS
from schemas.errors import UserError
from schemas.jsonschema import INSTANCE, MEMBER, SHARD
from schemas.printable import line

KEY = INSTANCE["properties"]["key"]["pattern"]
_VALIDATOR = jsonschema.Draft202012Validator(INSTANCE)


def index_rows(folder: str, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> Iterator[Json]:
    """The rows of `folder/index.parquet` (those that `where` selects) as dicts, see `schemas.index.IndexRow`.

    One batch is in memory at a time. Raises UserError if the index is missing or damaged.
    """
    try:
        for table in tables(f"{folder}/index.parquet", is_index, columns):
            yield from (table if where is None else table.filter(where)).to_pylist()
    except FileNotFoundError as error:
        raise UserError(
            f"There is no index.parquet in {folder}. Give the --output folder of a build that has finished."
        ) from error


def read_instance(folder: str, row: Json) -> tuple[Json, dict[str, bytes]]:
    """The JSON of an instance and its images (member name -> file bytes), from its row of the index.

    Raises UserError if the row has names that no build writes, or the shard has other data at these offsets.
    """
    with corruption_as_user_error(f"{folder}/index.parquet"):
        _check_name(row["shard"], SHARD)
        _check_name(row["key"], KEY)
        for image in row["images"]:
            _check_name(image["name"], MEMBER)
    path = f"{folder}/shards/{row['shard']}"
    with open_bytes(path) as shard, corruption_as_user_error(path):
        shard.seek(0, os.SEEK_END)
        end = shard.tell()

        def part(offset: int, size: int) -> bytes:
            if not 0 <= offset <= offset + size <= end:
                raise ValueError(f"{end} bytes, where the index has something from {offset} to {offset + size}")
            shard.seek(offset)
            return shard.read(size)

        instance = parse_json(part(row["json_offset"], row["json_size"]))
        if error := jsonschema.exceptions.best_match(_VALIDATOR.iter_errors(instance)):
            raise ValueError(f"{row['key']}.json, {error.json_path}: {error.message}")
        pictures = {image["name"]: part(image["offset"], image["size"]) for image in row["images"]}
        if {s["image"] for s in instance["context"] + instance["output"] if s["type"] == "image"} != set(pictures):
            raise ValueError(f"{row['key']}.json has other images than the index")
        return instance, pictures


def context_counts(folder: str) -> tuple[int, int]:
    """The numbers of instances with and without a context, from the index."""
    found = [row["n_context_texts"] > 0 for row in index_rows(folder, ["n_context_texts"])]
    return sum(found), len(found) - sum(found)


def tables(path: str, fits: Callable[[pa.Schema], bool], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """A Parquet file, one batch in memory at a time; `fits` checks its schema. Raises UserError if it is damaged."""
    with open_bytes(path) as file, corruption_as_user_error(path):
        parquet = pq.ParquetFile(file)
        if not fits(parquet.schema_arrow):
            raise ValueError("its columns are not those of this version")
        for batch in parquet.iter_batches(10_000, columns=None if columns is None else list(columns)):
            table = pa.Table.from_batches([batch])
            table.validate(full=True)  # otherwise invalid UTF-8 is found only when a value is used
            yield table


@contextlib.contextmanager
def corruption_as_user_error(path: str) -> Iterator[None]:
    """Convert errors about a damaged file to UserError; an OSError of a file that cannot be read is not converted."""
    try:
        yield
    except (*READ_ERRORS, LookupError, TypeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        why = line(str(error)[:200])
        raise UserError(f"{path} is damaged ({why}); `leafinstruct validate` on its folder says more") from error


def _check_name(name: str, pattern: str) -> None:
    if not re.fullmatch(pattern, name):
        raise ValueError(f"it has the name {name!r}, which no build writes")
