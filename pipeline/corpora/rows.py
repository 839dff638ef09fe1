"""Parquet: count the rows of the row groups, and read one group row by row."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow
import pyarrow.parquet

from pipeline.corpora.fields import BadRecord
from pipeline.store import open_bytes

DAMAGE = (pyarrow.ArrowException, OSError)      # pyarrow raises either for broken bytes
_BATCH = 64     # rows decoded at once


def counts(path: str) -> list[int]:
    """The number of rows of each row group. Raises one of DAMAGE for a file that is no Parquet."""
    with open_bytes(path) as file:
        metadata = pyarrow.parquet.ParquetFile(file).metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def read(path: str, group: int) -> Iterator[dict | BadRecord]:
    """Every row of a row group as a dict, or what is wrong with it. Damage ends the group with one `unreadable`."""
    with open_bytes(path) as file:
        try:
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches(_BATCH, row_groups=[group]):
                yield from _rows(batch)
        except DAMAGE as error:
            yield BadRecord("unreadable", str(error))


def _rows(batch: pyarrow.RecordBatch) -> Iterator[dict | BadRecord]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for i in range(len(batch)):
            try:
                yield batch.slice(i, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield BadRecord("bad_utf8", str(error))
