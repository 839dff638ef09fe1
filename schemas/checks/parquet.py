"""Reads the Parquet files of the index and the ledger, in the form that a build writes.

Every other form than that of `pipeline.dataset.shards` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import ROW_GROUP
from schemas.checks import pages
from schemas.folder import size_of

PACKED_GROUP = 1 << 28
"""The most bytes of a row group in the file."""
_WRITER = re.compile(r"parquet-cpp-arrow version [0-9.]{1,20}")
_ENDS = 4, 8  # PAR1; the footer's length and PAR1


class WrongSchema(ValueError):
    """The file's columns are not the expected ones."""


class WrongForm(ValueError):
    """The file has something that no build writes, or something besides its rows."""


class Reader:
    """A Parquet file with this schema, whose row groups are checked before they are decoded.

    Raises WrongSchema, WrongForm, and the errors of `schemas.defects.READ_ERRORS`.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema):
        self._file, size = file, size_of(file)
        self._parquet = pq.ParquetFile(file)
        self.metadata = self._parquet.metadata
        if not self._parquet.schema_arrow.equals(schema, check_metadata=True):
            raise WrongSchema
        if set(self.metadata.metadata or {}) - {b"ARROW:schema"} or not _WRITER.fullmatch(self.metadata.created_by):
            raise WrongForm("its footer holds metadata of its own")
        self._check_footer(size)
        self._places = self._layout(size)

    def groups(self) -> Iterator[pa.Table]:
        """The row groups, one in memory at a time."""
        for number in range(self.metadata.num_row_groups):
            yield self.group(number)

    def group(self, number: int) -> pa.Table:
        """One row group, decoded."""
        group = self.metadata.row_group(number)
        for j, (start, stop) in enumerate(self._places[number]):
            leaf = self.metadata.schema.column(j)
            self._file.seek(start)
            try:
                pages.check(
                    self._file.read(stop - start),
                    pages.Column(
                        leaf.path, group.num_rows, leaf.max_repetition_level > 0, leaf.physical_type == "BYTE_ARRAY"
                    ),
                )
            except ValueError as error:
                raise WrongForm(str(error)) from error
        table = self._parquet.read_row_group(number, use_threads=False)
        table.validate(full=True)  # otherwise invalid UTF-8 is found only when a value is used
        return table

    def _check_footer(self, size: int) -> None:
        self._file.seek(max(0, size - _ENDS[1] - self.metadata.serialized_size))
        leaves = [self.metadata.schema.column(j) for j in range(self.metadata.num_columns)]
        try:
            pages.check_footer(
                self._file.read(self.metadata.serialized_size),
                [
                    (leaf.max_repetition_level, leaf.max_definition_level, leaf.physical_type == "BYTE_ARRAY")
                    for leaf in leaves
                ],
            )
        except ValueError as error:
            raise WrongForm(str(error)) from error

    def _layout(self, size: int) -> list[list[tuple[int, int]]]:
        """The start and end of each column chunk of each row group. They fill the file without a gap."""
        places, at, last = [], _ENDS[0], self.metadata.num_row_groups - 1
        for i in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(i)
            if not (group.num_rows == ROW_GROUP or (i == last and 0 < group.num_rows < ROW_GROUP)):
                raise WrongForm(f"its row group {i} has {group.num_rows} rows; each but the last has {ROW_GROUP}")
            chunks, first = [], at
            for j in range(group.num_columns):
                chunk = group.column(j)
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                if start != at or chunk.total_compressed_size <= 0 or chunk.compression != "ZSTD":
                    raise WrongForm(f"its row group {i} does not begin column {j} at byte {at}, compressed with zstd")
                at += chunk.total_compressed_size
                chunks.append((start, at))
            if at - first > PACKED_GROUP:
                raise WrongForm(f"its row group {i} has more than {PACKED_GROUP:,} bytes")
            places.append(chunks)
        if at + self.metadata.serialized_size + _ENDS[1] != size:
            raise WrongForm("it holds bytes beside its columns and its footer")
        return places
