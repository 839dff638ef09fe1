"""WARC files of web crawls: every HTML page that was fetched with status 200, by fastwarc and `pages.py`.

A record's number is the byte at which it begins, which is also how the crawl's own index names it. A file
(uncompressed, or compressed record by record as the standard asks) is cut every 64 MiB. A worker finds the first record
of its stretch by itself, so the file need not be read beforehand.
"""

from __future__ import annotations

import codecs
import dataclasses
import os
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import urljoin

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from pipeline import encodings
from pipeline.corpora import pages
from pipeline.corpora.fields import BadRecord, said, string
from pipeline.corpora.files import Files, cut_each
from pipeline.corpora.lines import LEAST, MAX_LINE, MAX_RATIO
from pipeline.corpora.parts import Format, Part, Place
from pipeline.storage.files import open_bytes
from pipeline.storage.uris import is_http
from schemas.records import Document

STRETCH = 64 << 20  # bytes of a file that a part covers
_HTML = ("text/html", "application/xhtml+xml")
_BLOCK = 1 << 20
_PLAIN, _GZIP = re.compile(rb"\r\n\r\n(?=WARC/1\.\d\r\n)"), re.compile(rb"(?=\x1f\x8b\x08)")
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
"""Python's encodings that no page is written in; some take quadratic time."""
_SPAN = 16  # bytes that either pattern looks at, at most


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one page. Its images are fetched from the web."""
    page, url = pages.parsed(record["html"]), string(record, "url")
    base = urljoin(url, str(page.xpath("string(//base/@href)")))

    def where(source: str) -> str:
        try:
            return place.address(urljoin(base, source))
        except ValueError:
            return place.address(source)

    yield Document(
        id=place.id({"url": url, "html": record["html"]}),
        source=place.format,
        segments=pages.content(page, where),
        title=pages.title_of(page),
        url=url,
        location=place.location,
    )


def parts_of(file: Part) -> Iterator[Part]:
    """Parts of 64 MiB of a file."""
    with open_bytes(file.file) as opened:
        size = opened.seek(0, os.SEEK_END)
    for offset in range(0, size, STRETCH):
        yield dataclasses.replace(file, first=offset, offset=offset, size=min(STRETCH, size - offset))


def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
    """The pages among the records that begin in the part's stretch."""
    assert part.size is not None
    with open_bytes(part.file) as file:
        start = _first_record(file, part.offset, part.offset + part.size, part.file.endswith(".gz"))
        if start is None:
            if part.offset == 0:
                yield 0, BadRecord("unreadable", "there is no WARC record in the file")
            return
        file.seek(start)
        try:
            for record in ArchiveIterator(
                file, record_types=WarcRecordType.response, max_content_length=MAX_LINE, parse_http=False
            ):
                start = int(record.stream_pos)
                if start >= part.offset + part.size:
                    return
                if found := _page(record):
                    yield start, found
        except (OSError, ValueError, EOFError) as error:
            yield start, BadRecord("unreadable", f"{type(error).__name__}: {error}")


def _page(record: WarcRecord) -> dict[str, Any] | BadRecord | None:
    """The page in a record, if it holds one."""
    size, url = record.content_length, record.headers.get("WARC-Target-URI") or ""
    if not (record.is_http and is_http(url)):
        return None
    record.freeze()  # in memory (32 MiB at most), so that no page has a say in where the next record begins
    held = record.content_length
    try:
        record.parse_http(auto_decode="none")
    except (OSError, ValueError) as error:  # read from memory: no disk fails here
        return BadRecord("unreadable", said(error))
    headers = record.http_headers
    if not (headers and headers.status_code == 200 and (record.http_content_type or "").lower() in _HTML):
        return None
    if held < size:
        return BadRecord("unreadable", f"the file ends within the page: {held} of {size} bytes")
    most = min(MAX_LINE, LEAST + MAX_RATIO * size)
    names = ",".join(headers.get(name) or "" for name in ("Content-Encoding", "Transfer-Encoding")).split(",")
    try:
        data = encodings.plain(record.reader.read(), names, most + 1)
    except ValueError as error:
        return BadRecord("unreadable", said(error))
    if len(data) > most:
        return BadRecord("too_long", f"a page of more than {most:,} bytes comes of {size:,}")
    return {"url": url, "html": _text(data, record.http_charset)}


def _text(data: bytes, charset: str | None) -> str | bytes:
    """The page in the character set that the server states, or as it is, for lxml to find out."""
    try:
        name = codecs.lookup(charset or "").name.replace("_", "-")
        return data if name in _NO_CHARSETS else data.decode(name)
    except (ValueError, LookupError):
        return data


def _first_record(file: BinaryIO, start: int, end: int, gzipped: bool) -> int | None:
    """The byte at which the first record in [start, end) begins."""
    if start == 0 and not gzipped:
        file.seek(0)
        return 0 if file.read(5) == b"WARC/" else None
    at, held = start if gzipped else start - 4, b""  # the blank lines before a record may lie before the stretch
    while at < end:
        file.seek(at + len(held))
        block = file.read(_BLOCK)
        held += block
        for match in (_GZIP if gzipped else _PLAIN).finditer(held):
            found = at + match.end()
            if start <= found < end and (not gzipped or _opens_record(file, found)):
                return found
        if not block:
            return None
        at, held = at + max(len(held) - _SPAN, 0), held[-_SPAN:]
    return None


def _opens_record(file: BinaryIO, at: int) -> bool:
    """Whether three bytes that look like the start of a gzip member really start a record."""
    file.seek(at)
    try:
        return zlib.decompressobj(wbits=31).decompress(file.read(4096), 16).startswith(b"WARC/")
    except zlib.error:
        return False


FORMAT = Format(
    documents,
    (".warc", ".warc.gz"),
    files=Files(cut_each(parts_of), read),
    about="web crawls: the HTML pages, with images from the web",
    get="your crawler's, or commoncrawl.org",
    terms="those of the pages (Common Crawl: its terms of use); a document keeps its page's address",
)
