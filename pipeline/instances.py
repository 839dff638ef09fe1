"""Random access to finished instances: the index says where in which shard the bytes lie, and only those are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.store import open_bytes
from schemas.codec import parse_json
from schemas.errors import UserError


def index_rows(folder: str, columns: Sequence[str] | None = None,
               where: pc.Expression | None = None) -> Iterator[dict[str, Any]]:
    """Rows of `folder/index.parquet` (those that `where` chooses) as dicts, see `schemas.index.IndexRow`; one batch in
    memory at a time. Raises UserError where there is no index."""
    try:
        file = open_bytes(f"{folder}/index.parquet")
    except FileNotFoundError as error:
        raise UserError(f"There is no index.parquet in {folder}. Give the --output folder of a build that has finished."
                        ) from error
    with file:
        for batch in pq.ParquetFile(file).iter_batches(10_000, columns=columns):
            table = pa.Table.from_batches([batch])
            yield from (table if where is None else table.filter(where)).to_pylist()


def read_instance(folder: str, row: dict[str, Any]) -> tuple[dict, dict[str, bytes]]:
    """The JSON of an instance and its pictures (member name -> file bytes), by a whole row of the index."""
    with open_bytes(f"{folder}/shards/{row['shard']}") as shard:
        def part(offset: int, size: int) -> bytes:
            shard.seek(offset)
            return shard.read(size)
        instance = parse_json(part(row["json_offset"], row["json_size"]))
        return instance, {image["name"]: part(image["offset"], image["size"]) for image in row["images"]}
