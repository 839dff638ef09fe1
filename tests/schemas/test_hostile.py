"""Folders made to hurt whoever reads them: each is answered in little time and memory, with a defect."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import strict_yaml, tar
from schemas import validate as validating
from schemas.arrow import LEDGER
from schemas.checks import pages
from schemas.folder import LocalFolder
from schemas.validate import examine, validate
from tests.schemas import example
from tests.schemas.damage import CARD, CONFIG, KEYS, L0, S0, M, encoded, image, patch, rewrite, sign

LIMITS = """
import json, pathlib, re, sys
from schemas.validate import validate
found = validate(sys.argv[1], deep=True)
print(json.dumps([d.kind for d in found]))
# not ru_maxrss: that begins with what the test process had when it started this one
print(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def kinds(folder, seconds: int = 60, mebibytes: int = 1024) -> set[str]:
    """The kinds of defects, found by a process of its own within these limits."""
    done = subprocess.run([sys.executable, "-c", LIMITS, str(folder)], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stderr.split()[-1]) < mebibytes << 10, "more memory than that"
    return set(json.loads(done.stdout))


# Parquet


def _written(folder, table: pa.Table) -> None:
    """The table as a part of the ledger, as a build would compress it, without a note of its Arrow types."""
    with pq.ParquetWriter(folder / L0, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
    sign(folder)


def _columns(count: int) -> dict[str, pa.Array]:
    """Columns of rows that all say the same."""
    blank = {
        "id": "x",
        "source": "",
        "location": "",
        "status": "failed",
        "stage": "read",
        "rule": "",
        "value": None,
        "threshold": None,
        "error": "e",
        "detail": "",
        "shard": "",
        "key": "",
        "images": 0,
        "dropped_images": [],
        "scores": [],
        "title": "",
    }
    table = pa.Table.from_pylist([blank] * count, schema=LEDGER)
    return {name: table[name].combine_chunks() for name in LEDGER.names}


def test_a_long_string_that_every_row_names(folder):
    """A table of 10,000 rows and 20 kB that would take 10 GB."""
    columns = _columns(10_000)
    columns["detail"] = pa.DictionaryArray.from_arrays(np.zeros(10_000, np.int32), ["x" * 1_000_000])
    fields = [pa.field(f.name, columns[f.name].type, f.nullable) for f in LEDGER]
    _written(folder, pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields)))
    assert (folder / L0).stat().st_size < 100_000
    assert "ledger-form" in kinds(folder)


def test_lists_without_end(folder):
    """A table of 10 rows and some kB with 10 million scores."""
    columns, count = _columns(10), 1_000_000
    names = pa.array(["n"] * count, pa.string())
    one = pa.StructArray.from_arrays(
        [names, pa.array(np.ones(count))], fields=list(LEDGER.field("scores").type.value_type)
    )
    every = pa.concat_arrays([one] * 10)
    columns["scores"] = pa.ListArray.from_arrays(
        np.arange(11, dtype=np.int32) * count, every, type=LEDGER.field("scores").type
    )
    _written(folder, pa.Table.from_arrays(list(columns.values()), schema=LEDGER))
    assert (folder / L0).stat().st_size < 100_000
    assert "ledger-form" in kinds(folder)


def _number(value: int) -> bytes:
    value, out = (value << 1) ^ (value >> 63), b""
    while value > 127:
        value, out = value >> 7, out + bytes([value & 127 | 128])
    return out + bytes([value])


def _page(kind: int, size: int, packed: bytes, values: int, encoding: int = 0, claimed: int | None = None) -> bytes:
    """A page with its header, in Thrift's compact protocol."""
    about = {0: b"\x2c", 2: b"\x4c", 3: b"\x5c"}[kind] + b"\x15" + _number(values) + b"\x15" + _number(encoding) + b"\0"
    return (
        b"\x15"
        + _number(kind)
        + b"\x15"
        + _number(size)
        + b"\x15"
        + _number(len(packed) if claimed is None else claimed)
        + about
        + b"\0"
        + packed
    )


def _dictionary(*strings: bytes) -> bytes:
    plain = b"".join(struct.pack("<I", len(s)) + s for s in strings)
    return _page(2, len(plain), pa.compress(plain, "zstd", asbytes=True), len(strings))


FLAT, LISTS = pages.Column("id", 100, False, True), pages.Column("scores", 100, True, True)
GOOD = _dictionary(b"a", b"bc") + _page(0, 100, b"x" * 20, 60) + _page(0, 80, b"x" * 20, 40, 8)


def test_pages_as_a_build_writes_them_pass():
    pages.check(GOOD, FLAT)
    pages.check(GOOD, LISTS)


@pytest.mark.parametrize(
    "data, column, says",
    [
        (_page(0, 2**31 - 1, b"x" * 20, 100), FLAT, "in a way that no build writes"),
        (_page(0, -1, b"x" * 20, 100), FLAT, "in a way that no build writes"),
        (_page(0, 100, b"x" * 20, -1), FLAT, "in a way that no build writes"),
        (_page(0, 100, b"x" * 20, 100, claimed=21), FLAT, "in a way that no build writes"),
        (_page(0, 100, b"x" * 20, 100, claimed=-5), FLAT, "in a way that no build writes"),
        (_page(0, 100, b"x" * 20, 100, encoding=7), FLAT, "in a way that no build writes"),  # DELTA_BYTE_ARRAY
        (_page(2, 5 << 20, b"x", 1), FLAT, "in a way that no build writes"),
        (_page(3, 100, b"x", 100), FLAT, "no page header"),
        (_page(0, 100, b"x" * 20, 101), FLAT, "101 values for 100 rows"),
        (_page(0, 100, b"x" * 20, 2**31 - 1), FLAT, "values for 100 rows"),
        (_page(0, 100, b"x" * 20, 2_000_001), LISTS, "values for 100 rows"),
        (_dictionary(b"n" * 1_000) + _page(0, 100, b"x", 1_500_000), LISTS, "bytes of memory"),
        (b"".join(_page(0, 32 << 20, b"x", 1) for _ in range(100)), FLAT, "bytes of memory"),
        (GOOD + _dictionary(b"a"), FLAT, "a dictionary behind the data"),
        (GOOD[:-5], FLAT, "in a way that no build writes"),
        (b"", FLAT, "0 values"),
        (b"\0" * 20, FLAT, "no page header"),
        (b"\x15" + b"\xff" * 50, FLAT, "no page header"),
        (b"\x1c" * 100_000, FLAT, "no page header"),
        (b"\x19" * 100, FLAT, "no page header"),
        (_dictionary(b"a")[:-3], FLAT, "in a way that no build writes"),
    ],
)
def test_pages_that_ask_for_more_than_they_hold(data, column, says):
    with pytest.raises(ValueError, match=says):
        pages.check(data, column)


# tars


def test_a_member_of_300_megabytes(folder):
    size = 300 << 20
    with open(folder / S0, "r+b") as file:
        file.write(tar.header(f"{KEYS[0]}.00.png", size))
        file.seek(tar.room(size))
        tar.finish(file)
    sign(folder)
    assert {"member-size", "shard-size"} <= kinds(folder, mebibytes=512)


def test_a_sample_of_a_thousand_members(folder):
    rewrite(folder, 0, lambda files: files[:4] + [(f"{KEYS[0]}.99.png", bytes(100_000))] * 1000)
    found = [d for d in validate(folder, deep=True) if d.kind == "member-size"]
    assert len(found) == 1000 - 97


def test_a_shard_that_is_a_hole_of_a_terabyte(folder):
    os.truncate(folder / S0, 1 << 40)
    assert {"file-size", "tar-end"} <= kinds(folder)


def test_pax_headers_of_many_digits(folder):
    """Python's tarfile takes quadratic time over them."""
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "1" * 60_000}
    block = info.tobuf(tarfile.PAX_FORMAT)[:-512]
    patch(folder, 0, lambda data: bytearray(block * 20) + data)
    assert "tar-header" in kinds(folder, seconds=30)


# images


def _scans(count: int) -> bytes:
    data = encoded(size=(64, 64))
    start = data.index(b"\xff\xda")
    return data[:start] + data[start:-2] * count + data[-2:]


def _wide() -> bytes:
    """A PNG of some kB with a line of 44.8 million pixels."""
    width = 44_800_000
    body = struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0)
    lines = zlib.compressobj(9)
    chunks = [(b"IHDR", body), (b"IDAT", lines.compress(bytes(1 + 3 * width)) + lines.flush()), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )


@pytest.mark.parametrize(
    "data, size, kind",
    [
        (_scans(20_000), (64, 64), "image-form"),
        (_wide(), (44_800_000, 1), "image-side"),
        (encoded(size=(3000, 3000)), (3000, 3000), "image-side"),
    ],
    ids=["scans", "wide", "large"],
)
def test_an_image_that_takes_long_is_not_decoded(folder, data, size, kind):
    member = "00.png" if data.startswith(b"\x89PNG") else "01.jpg"
    image(data, 0, member, width=size[0], height=size[1])(folder)
    assert kind in kinds(folder, seconds=30, mebibytes=512)


# texts


def test_a_manifest_of_empty_lists(folder):
    (folder / M).write_bytes(b'{"shards": [' + b"[]," * 10_000_000 + b"[]]}")
    assert kinds(folder, mebibytes=3072) == {"manifest-schema"}


def test_a_manifest_that_is_too_large_is_not_read(folder):
    os.truncate(folder / M, 1 << 40)
    assert kinds(folder) == {"manifest-unreadable"}


@pytest.mark.parametrize(
    "name, text",
    [
        (CARD, "---\n" + "[" * 100_000),
        (CARD, "---\na: " + "x" * 300_000 + "\n---\n"),
        (CONFIG, "{a: " * 5_000),
        (CARD, "---\na: &a [x, x]\nb: &b [*a, *a]\n---\n"),
        (CONFIG, "- 0" + "_" * 100_000),
        (CONFIG, "a: 2024-13-45"),
        (CONFIG, "? [a]\n: b"),
        (CONFIG, "? {a: b}\n: b"),
        (CONFIG, "<<: {a: 1}"),
        (CONFIG, "!!python/name:os.system a"),
        (CONFIG, "1" * 5_000),
        (CONFIG, "\x00"),
        (CONFIG, "a: !!binary x"),
        (CONFIG, "!!set {a: b}"),
    ],
)
def test_yaml_that_means_harm(folder, name, text):
    (folder / name).write_text(text)
    sign(folder)
    assert validate(folder)


@pytest.mark.parametrize("text", ["a: 1\na: 1", "&a b", "a: *a", "a: &a 1\nb: *a", "? [a]\n: b", "[", "a: 2024-13-45"])
def test_yaml_is_strict(text):
    with pytest.raises(ValueError):
        strict_yaml.load(text)
    assert strict_yaml.load("a: [1, x]\nb: {c: 2.5}") == {"a": [1, "x"], "b": {"c": 2.5}}


# the folder


def test_more_defects_than_anybody_reads(folder, monkeypatch):
    monkeypatch.setattr(validating, "MOST_DEFECTS", 10)
    for number in range(50):
        (folder / f"{number}.txt").touch()
    report = examine(LocalFolder(str(folder)))
    assert len(report.defects) == 10 and "whatever comes after the first 10 defects" in report.unchecked


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a device")
def test_a_device_is_not_opened(folder):
    (folder / S0).unlink()
    try:
        os.mknod(folder / S0, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero: reading it never ends
    except OSError:
        pytest.skip("this machine lets nobody make a device")
    assert [(d.kind, d.file) for d in validate(folder, deep=True)] == [("file-type", S0)]


@pytest.mark.parametrize("name", [M, CARD, CONFIG, "index.parquet", L0, S0, "report.html"])
def test_a_disk_that_fails(good, monkeypatch, name):
    """An error in the middle of a file."""

    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    real = LocalFolder.open
    monkeypatch.setattr(LocalFolder, "open", lambda self, n: Failing(b"x" * 100) if n == name else real(self, n))
    found = validate(good, deep=True)
    assert found and {d.file for d in found} == {name}
    assert any("Input/output error" in d.message for d in found)


def test_an_instance_as_long_as_may_be(tmp_path):
    """No limit of the validator's is in the way of a set with large texts."""
    example.write(tmp_path)
    rewrite(tmp_path, 0, lambda files: files)
    assert validate(tmp_path, deep=True) == []
