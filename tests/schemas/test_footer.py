"""A Parquet footer that makes pyarrow end the whole process is refused before pyarrow is asked about its columns."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.checks import pages
from schemas.checks.parquet import Reader, WrongForm
from schemas.defects import READ_ERRORS

SCHEMA = pa.schema([("id", pa.string()), ("scores", pa.list_(pa.float32()))])


@pytest.fixture(scope="module")
def written() -> bytes:
    file = io.BytesIO()
    table = pa.table({"id": ["a", "b"], "scores": [[1.0], [0.5, 2.0]]}, SCHEMA)
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def footer_of(data: bytes) -> tuple[int, bytes]:
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return start, data[start:-8]


def levels(data: bytes) -> list[tuple[int, int, bool]]:
    schema = pq.read_metadata(io.BytesIO(data)).schema
    leaves = [schema.column(j) for j in range(len(schema))]
    return [(c.max_repetition_level, c.max_definition_level, c.physical_type == "BYTE_ARRAY") for c in leaves]


def test_what_pyarrow_writes_passes(written):
    _, footer = footer_of(written)
    pages.check_footer(footer, levels(written))
    assert Reader(io.BytesIO(written), pq.read_schema(io.BytesIO(written))).metadata.num_rows == 2


@pytest.mark.parametrize("wrong", [(1, 0, False), (0, 1, False)])
def test_other_levels_than_the_columns_are_refused(written, wrong):
    _, footer = footer_of(written)
    more = [(r + wrong[0], d + wrong[1], strings) for r, d, strings in levels(written)]
    with pytest.raises(ValueError, match="statistics of sizes"):
        pages.check_footer(footer, more)
    with pytest.raises(ValueError, match="other columns"):
        pages.check_footer(footer, more[:1])


@pytest.mark.parametrize("field", [b"\x05\x02", b"\x05\x82\x80\x08", b"\x05\x00"])
def test_a_field_that_could_be_read_as_another_is_refused(written, field):
    """Field 1 once more, 65,537 (1 in 16 bits), and 0, each after the true footer's fields."""
    _, footer = footer_of(written)
    with pytest.raises(ValueError, match="a form that no build writes"):
        pages.check_footer(footer[:-1] + field + b"\x02\x00", levels(written))


def test_no_changed_byte_of_a_footer_ends_the_process(written):
    """Without the check, some of these end it: pyarrow's C++ throws where nothing catches."""
    schema = pq.read_schema(io.BytesIO(written))
    start, footer = footer_of(written)
    refused = 0
    for at in range(start, start + len(footer)):
        for change in (1, 0x10, 0xF0):
            data = bytearray(written)
            data[at] = (data[at] + change) % 256
            try:
                Reader(io.BytesIO(bytes(data)), schema)
            except WrongForm as error:
                refused += "statistics of sizes" in str(error)
            except READ_ERRORS:
                continue
    assert refused
