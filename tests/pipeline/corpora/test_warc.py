from __future__ import annotations

import gzip
import io
import time
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline import corpora, encodings
from pipeline.corpora import warc
from schemas.records import Document, Fault
from tests.pipeline.corpora.test_pages import PAGE


def response(url, body, status="200 OK", kind="text/html; charset=utf-8", more=""):
    record = WarcRecord()
    record.init_headers(record_type=WarcRecordType.response)
    record.headers["WARC-Target-URI"] = url
    record.headers["Content-Type"] = "application/http; msgtype=response"
    record.set_bytes_content(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}\r\n".encode() + body)
    out = io.BytesIO()
    record.write(out, checksum_data=False)
    return out.getvalue()


@pytest.fixture
def crawl(tmp_path):
    def write(*records, name="crawl.warc.gz"):
        data = b"".join(gzip.compress(r) if name.endswith("gz") else r for r in records)
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


def pages(count):
    return [response(f"https://example.org/{i}/", PAGE.replace("Make  tea", f"Tea {i}").encode()) for i in range(count)]


def test_pages_that_were_fetched_become_documents(crawl, read_all):
    path = crawl(
        response("https://example.org/robots.txt", b"x", kind="text/plain"),
        response("https://example.org/gone", PAGE.encode(), status="404 Not Found"),
        *pages(1),
    )
    [document] = read_all("warc", path)
    assert (document.url, document.title) == ("https://example.org/0/", "Tea 0")
    assert [i.uri for i in document.images] == ["https://example.org/0/kettle.jpg", "https://example.org/0/pour.jpg"]
    offset = int(document.location.rsplit(":", 1)[1])
    assert gzip.decompress(Path(path).read_bytes()[offset:]).startswith(b"WARC/1")


@pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz"])
@pytest.mark.parametrize("stretch", [100, 777, 5000, 1 << 20])
def test_stretches_hold_every_record_once(crawl, monkeypatch, name, stretch):
    monkeypatch.setattr(warc, "STRETCH", stretch)
    monkeypatch.setattr(warc, "_BLOCK", 333)
    records = pages(12)
    records.insert(
        5, response("https://example.org/about-warc", b"\x1f\x8b\x08 WARC/1.0 in the text", kind="text/plain")
    )
    parts = list(corpora.parts("warc", crawl(*records, name=name)))
    found = [d for p in reversed(parts) for d in corpora.read(p)]
    assert sorted(d.title for d in found) == sorted(f"Tea {i}" for i in range(12))
    assert stretch > 1000 or len(parts) > 2


def test_a_file_that_is_no_warc_is_a_fault(crawl, read_all):
    for name in ("a.warc", "b.warc.gz"):
        [fault] = read_all("warc", crawl(b"<html>", name=name))
        assert (fault.error, fault.detail) == ("unreadable", "there is no WARC record in the file")


def test_what_comes_before_damage_is_read(crawl, read_all):
    path = crawl(*pages(3))
    data = Path(path).read_bytes()
    with open(path, "wb") as file:
        file.write(data[:-200])
    found = read_all("warc", path)
    assert [d.title for d in found if isinstance(d, Document)] == ["Tea 0", "Tea 1"]
    assert [f.error for f in found if isinstance(f, Fault)] == ["unreadable"]


def test_a_limit_counts_pages(crawl):
    [part] = corpora.parts("warc", crawl(*pages(3)))
    part, _ = corpora.limited(part, 2)
    assert part.count == 2 and len(list(corpora.read(part))) == 2


def chunked(body, size=700):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;q=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def deflated(body):
    return zlib.compress(body)[2:-4]


@pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz"])
@pytest.mark.parametrize(
    "header, encode",
    [
        ("Content-Encoding: gzip", gzip.compress),
        ("Content-Encoding: x-gzip", lambda body: gzip.compress(body[:99]) + gzip.compress(body[99:])),
        ("Content-Encoding: deflate", zlib.compress),
        ("Content-Encoding: deflate", deflated),
        ("Content-Encoding: BR", brotli.compress),
        ("Content-Encoding: zstd", zstandard.compress),
        ("Content-Encoding: identity", bytes),
        ("Transfer-Encoding: chunked", chunked),
        ("Transfer-Encoding: chunked", bytes),  # a crawler that keeps the header alone
        ("Content-Encoding: gzip\r\nTransfer-Encoding: chunked", lambda body: chunked(gzip.compress(body))),
        ("Content-Encoding: deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    ],
)
def test_encodings_are_taken_off(crawl, read_all, name, header, encode):
    page = response("https://example.org/0/", encode(PAGE.encode()), more=f"{header}\r\n")
    first, second = read_all("warc", crawl(page, *pages(1), name=name))
    assert (first.title, second.title) == ("Make tea", "Tea 0")


def spaces(compress, flush, count=300):
    return b"".join(compress(b" " * (1 << 20)) for _ in range(count)) + flush()


def gzip_bomb():
    packed = zlib.compressobj(1, wbits=31)
    return spaces(packed.compress, packed.flush)


def brotli_bomb():
    brotlied = brotli.Compressor(quality=1)
    return spaces(brotlied.process, brotlied.finish)


@pytest.mark.parametrize(
    "name, bomb",
    [
        ("gzip", gzip_bomb),
        ("br", brotli_bomb),
        ("zstd", lambda: zstandard.compress(b" " * (100 << 20))),
        ("gzip, gzip", lambda: gzip.compress(gzip_bomb())),
    ],
)
def test_a_page_that_becomes_very_long_is_one_fault(crawl, read_all, name, bomb):
    bomb = response("https://example.org/", bomb(), more=f"Content-Encoding: {name}\r\n")
    fault, document = read_all("warc", crawl(bomb, *pages(1)))
    assert (fault.error, document.title) == ("too_long", "Tea 0")


@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "deflate", "lzw", "gzip, br, gzip, br, gzip"])
def test_a_damaged_page_is_one_fault(crawl, read_all, name):
    bad = response("https://example.org/", b"hello" * 9, more=f"Content-Encoding: {name}\r\n")
    fault, document = read_all("warc", crawl(bad, *pages(1)))
    assert (fault.error, document.title) == ("unreadable", "Tea 0")


def test_a_page_with_a_header_that_is_too_long_loses_none_behind_it(crawl, read_all):
    bad = response("https://example.org/", PAGE.encode(), more=f"X: {'a' * 100_000}\r\n")
    fault, document = read_all("warc", crawl(bad, *pages(1)))
    assert (fault.error, document.title) == ("unreadable", "Tea 0")


def test_very_many_members_or_chunks_take_little_time():
    started = time.process_time()
    assert encodings.plain(gzip.compress(b"") * 1_000_000, ["gzip"], 1000) == b""
    assert encodings.plain(b"1\r\na\r\n" * 300_000, ["chunked"], 1_000_000) == b"a" * 300_000
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "idna", "utf-7", "unicode_escape", "hex", "bogus", "ascii", "utf-8", "a\0"]
)
def test_no_charset_loses_a_page_or_those_behind_it(crawl, read_all, charset):
    page = response("https://example.org/", PAGE.encode(), kind=f"text/html; charset={charset}")
    found = read_all("warc", crawl(page, *pages(2)))
    assert [document.title for document in found] == ["Make tea", "Tea 0", "Tea 1"]


def test_a_charset_that_takes_quadratic_time_is_not_used(crawl, read_all):
    page = response("https://example.org/", b"a" * 400_000 + b"-" + b"a9" * 200_000, kind="text/html; charset=punycode")
    started = time.process_time()
    assert read_all("warc", crawl(page, *pages(1)))[-1].title == "Tea 0"
    assert time.process_time() - started < 5


def test_a_charset_of_the_server_is_used(crawl, read_all):
    page = response(
        "https://example.org/",
        PAGE.replace("Make", "Сделай").encode("koi8-r", "replace"),
        kind="text/html; charset=KOI8-R",
    )
    [document] = read_all("warc", crawl(page))
    assert "Сделай" in document.title
