"""Parquet: count the rows of the row groups, and read one group row by row."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow
import pyarrow.parquet

from pipeline.corpora.fields import BadRecord, Record
from pipeline.storage.store import open_bytes

DAMAGE = (pyarrow.ArrowException, OSError)  # pyarrow raises either for broken bytes
_BAD_VALUE = (pyarrow.ArrowException, ValueError, ArithmeticError, LookupError)  # dates out of range, unknown zones
_BATCH = 64  # rows decoded at once


def counts(path: str) -> list[int]:
    """The number of rows of each row group. Raises one of DAMAGE for a file that is no Parquet."""
    with open_bytes(path) as file:
        metadata = pyarrow.parquet.ParquetFile(file).metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def read(path: str, group: int, columns: tuple[str, ...] = ()) -> Iterator[Record | BadRecord]:
    """Every row of a row group as a dict of these columns (none: all), or what is wrong with it. Damage ends the group
    with one `unreadable`."""
    with open_bytes(path) as file:
        try:
            table = pyarrow.parquet.ParquetFile(file)
            for batch in table.iter_batches(_BATCH, row_groups=[group], columns=list(columns) or None):
                yield from _rows(batch)
        except DAMAGE as error:
            yield BadRecord("unreadable", str(error))


def _rows(batch: pyarrow.RecordBatch) -> Iterator[Record | BadRecord]:
    found: list[Record | BadRecord] = []
    try:
        found += batch.to_pylist()
    except _BAD_VALUE:
        found = [_row(batch.slice(i, 1)) for i in range(len(batch))]
    yield from found


def _row(batch: pyarrow.RecordBatch) -> Record | BadRecord:
    """The only row of a batch."""
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        return BadRecord("bad_utf8", str(error))
    except _BAD_VALUE as error:
        return BadRecord("bad_record", f"a value that Python cannot hold: {type(error).__name__}: {error}")
