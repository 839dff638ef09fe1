"""Checks the footer and the pages of a Parquet file before pyarrow decodes them.

A reader allocates what a page's header says, so a file of 2 KB can ask for gigabytes: by one large page, by a run of a
million equal values, or by a long string in a dictionary that every row names. The file's own footer may say
otherwise. Headers and footer are Thrift structs in the compact protocol; no library reads them separately.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

PAGE = 32 << 20
"""The largest page in bytes after decompression; those of a build have 1 MiB, and at most 1,024 rows more."""
DICTIONARY = 4 << 20
"""The same for a dictionary; those of a build have 1 MiB and at most one row more."""
VALUES = 2_000_000
"""The most values of a list column in one row group of 10,000 rows."""
GROUP = 1 << 30
"""The most bytes of the values of one column in one row group."""

_DATA, _DICTIONARY = 0, 2  # PageType
_ENCODINGS = {0, 2, 3, 8}  # PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY: as a build's


@dataclasses.dataclass(frozen=True)
class Column:
    """What the footer states about a column chunk.

    The number of its rows, whether they are lists, and whether its values are strings.
    """

    name: str
    rows: int
    repeated: bool
    strings: bool


def check(data: bytes, column: Column) -> None:
    """Raise ValueError unless a column chunk has pages of a bounded size, as a build writes them.

    `data` are its bytes in the file. The pages must be compressed with zstd, and have as many values as there are rows.
    """
    at = values = inflated = longest = 0
    try:
        while at < len(data):
            header, body = _struct(data, at)
            kind, size, packed = header[1], header[2], header[3]
            about = header[5 if kind == _DATA else 7]
            if not (
                0 <= size <= (PAGE if kind == _DATA else DICTIONARY)
                and 0 <= packed <= len(data) - body
                and kind in (_DATA, _DICTIONARY)
                and about[1] >= 0
                and about[2] in _ENCODINGS
            ):
                raise ValueError(f"a page of {size:,} bytes in a way that no build writes")
            if kind == _DATA:
                values += about[1]
                inflated += size
            elif at:
                raise ValueError("a dictionary behind the data")
            elif column.strings:
                longest = _longest(pa.decompress(data[body : body + packed], size, "zstd", asbytes=True))
            at = body + packed
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"column {column.name}: no page header at byte {at}") from error
    if values > VALUES or (not column.repeated and values != column.rows):
        raise ValueError(f"column {column.name}: {values:,} values for {column.rows:,} rows")
    if inflated + longest * values > GROUP:
        raise ValueError(f"column {column.name}: would take more than {GROUP:,} bytes of memory")


def check_footer(footer: bytes, columns: list[tuple[int, int, bool]]) -> None:
    """Raise ValueError unless pyarrow can be asked about each column chunk of this footer.

    columns: for each column its highest repetition level and definition level, and whether its values are strings.
    pyarrow 25.0.1 ends the whole process for a chunk whose statistics of sizes contradict these ("terminate called after
    throwing an instance of 'parquet::ParquetException'").
    """
    try:
        for group in _struct(footer, 0)[0][4]:  # FileMetaData.row_groups
            if len(group[1]) != len(columns):
                raise ValueError("a row group has other columns than the file")
            for chunk, (repetition, definition, strings) in zip(group[1], columns, strict=True):
                sizes = chunk[3].get(16, {})  # ColumnMetaData.size_statistics
                if (
                    {8, 9} & set(chunk)  # encrypted
                    or (1 in sizes and not strings)
                    or len(sizes.get(2, ())) not in (0, repetition + 1)
                    or len(sizes.get(3, ())) not in (0, definition + 1)
                ):
                    raise ValueError("its footer's statistics of sizes are not those of its columns")
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("its footer has a form that no build writes") from error


def _longest(dictionary: bytes) -> int:
    """The length in bytes of the longest string; each has its length in the 4 bytes before it."""
    at = longest = 0
    while at < len(dictionary):
        length = int.from_bytes(dictionary[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return longest


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while byte := data[at]:
        at += 1
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _integer(data, at)
        if number in fields or not 0 < number < 1 << 15:  # pyarrow may take the other one, or another number
            raise LookupError(f"field {number}")
        fields[number], at = _value(data, at, byte & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false are part of the kind itself
        return kind == 1, at
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 8:
        length, at = _unsigned(data, at)
        return None, at + length
    if kind == 9:
        return _list(data, at)
    if kind == 12:
        return _struct(data, at)
    raise LookupError(f"type {kind}")  # single bytes, doubles, sets and maps occur in nothing that a build writes


def _list(data: bytes, at: int) -> tuple[list[Any], int]:
    head, at = data[at], at + 1
    length, kind = head >> 4, head & 15
    if length == 15:
        length, at = _unsigned(data, at)
    values = []
    for _ in range(length):
        if kind in (1, 2):  # in a list they take a byte
            value, at = data[at] == 1, at + 1
        else:
            value, at = _value(data, at, kind)
        values.append(value)
    return values, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise LookupError("a number without an end")
