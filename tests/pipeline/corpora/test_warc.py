from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline import corpora
from pipeline.corpora import warc
from schemas.records import Document, Fault
from tests.pipeline.corpora.test_pages import PAGE


def response(url, body, status="200 OK", kind="text/html; charset=utf-8"):
    record = WarcRecord()
    record.init_headers(record_type=WarcRecordType.response)
    record.headers["WARC-Target-URI"] = url
    record.headers["Content-Type"] = "application/http; msgtype=response"
    record.set_bytes_content(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode() + body)
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
