"""The fuzz targets: each function takes any bytes, and raises only if there is a bug."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import pathlib
import shutil
import tempfile
import unicodedata
from collections.abc import Callable
from unittest import mock

import httpcore

from pipeline import corpora
from pipeline.corpora.lines import decoded
from pipeline.corpora.parts import Place
from pipeline.images import decode, fetch, header, reservations
from pipeline.images.faults import ImageFault
from pipeline.llm import responses
from pipeline.storage.tar_index import walk
from prompts.control import TOKENS, broken_up
from schemas import images, printable
from schemas.errors import RecordFault
from schemas.records import Document, Fault
from schemas.validate import validate

ANSWER = {
    "type": "object",
    "properties": {"fluency": {"type": "integer", "enum": [1, 2, 3, 4, 5]}},
    "required": ["fluency"],
}
HTTP = fetch.Http(retries=0, deadline=2.0, allow_private_hosts=True)


def records(data: bytes) -> None:
    """A line or page of every format; the first byte chooses one."""
    names = sorted(corpora.FORMATS)
    name = names[data[0] % len(names)] if data else "native"
    shape = corpora.format_of(name)
    if shape.files is None:
        record = decoded(data[1:])
        if not isinstance(record, dict):
            return
    else:
        record = {
            "path": "d/page",
            "data": data[1:],
            "root": str(_folder()),
            "url": "https://example.org/",
            "html": data[1:],
        }
    with contextlib.suppress(ValueError, LookupError, RecursionError, RecordFault):
        for document in shape.documents(record, Place(name, "f:1", "f:1", f"{_folder()}/images", True)):
            assert isinstance(document, Document)


def files(data: bytes) -> None:
    """A whole file of records, in one of the forms that a corpus has; the first byte chooses it."""
    suffix, format = [
        (".jsonl", "native"),
        (".jsonl.gz", "native"),
        (".jsonl.zip", "mmc4"),
        (".tar", "native"),
        (".parquet", "obelics"),
        (".json", "m4_instruct"),
        (".json", "vist"),
        (".json", "youcook2"),
        (".tar", "mint1t"),
        (".warc", "warc"),
        (".pth", "comm"),
    ][data[0] % 11 if data else 0]
    path = _folder() / f"f{suffix}"
    path.write_bytes(data[1:])
    for part in corpora.parts(format, str(path)):
        for found in corpora.read(part):
            assert isinstance(found, Document) or (isinstance(found, Fault) and found.error != "reader_error")


def tars(data: bytes) -> None:
    """A tar's headers: every member lies within the file."""
    for at, size in walk(io.BytesIO(data)).members.values():
        assert at >= 0 and size >= 0 and at + size <= max(len(data), at)


def headers(data: bytes) -> None:
    """What the first bytes of an image say, and the form of a published one."""
    with contextlib.suppress(ImageFault):
        found = header.check(data, 1_000_000)
        assert 0 < found.width * found.height <= 1_000_000 and header.memory(data, found, 64) > 0
    with contextlib.suppress(ValueError):
        assert images.open_published(data, 1_000_000).mode == "RGB"


def pixels(data: bytes) -> None:
    """A whole image, decoded in this process: in a build, a child process has to survive it."""
    with contextlib.suppress(ImageFault, MemoryError):
        found = decode.normalise(data, max_side=64, max_pixels=300_000)
        assert images.published_size(found.data) == (found.width, found.height)


def replies(data: bytes) -> None:
    """A model server's response body: a complete answer with finite numbers, or ValueError.

    Its message is one clean line.
    """
    with contextlib.suppress(ValueError):
        answer = responses.read(responses.parse(data))
        responses.check(answer, ANSWER, None)
        json.dumps([answer.text, answer.logprobs], allow_nan=False).encode()
    assert responses.message(data.decode(errors="replace")).isprintable()


def servers(data: bytes) -> None:
    """A web server's whole response, byte for byte, to the request for an image."""
    backend = httpcore.MockBackend([data[at : at + 4096] for at in range(0, len(data), 4096)])
    fetch._hosts.cache_clear()  # its robots.txt is these bytes, too
    with (
        mock.patch.object(fetch, "pool", return_value=httpcore.ConnectionPool(network_backend=backend)),
        contextlib.suppress(ImageFault),
    ):
        fetch.fetch("http://example.org/a.jpg", 100_000, HTTP)


def rules(data: bytes) -> None:
    """A host's robots.txt and, behind the first NUL, its TDMRep file; an image's path is behind the second."""
    robots, _, rest = data.partition(b"\0")
    tdm, _, path = rest.partition(b"\0")
    found = reservations.rules(robots, tdm)
    assert found.delay >= 0
    with contextlib.suppress(ImageFault):
        url = fetch._parsed("http://example.org/" + path.decode(errors="replace"))
        assert isinstance(found.disallow(str(url)), bool)
        assert isinstance(found.reserve(url.raw_path.decode("ascii")), bool)


def addresses(data: bytes) -> None:
    """An image's address, as a document or a redirect gives it."""
    with contextlib.suppress(ImageFault):
        found = fetch._parsed(data.decode(errors="surrogateescape"), fetch._parsed("http://example.org/a/b.jpg"))
        assert found.scheme in ("http", "https") and not found.userinfo


def texts(data: bytes) -> None:
    """Text for a terminal, for a card, and for a prompt."""
    text = data.decode(errors="replace")
    for shown in (printable.printable(text).replace("\n", ""), printable.line(text), printable.markdown(text)):
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    safe = broken_up(text)
    assert not any(token in safe for token in TOKENS) and broken_up(safe) == safe


def folders(data: bytes) -> None:
    """A published folder in which one file holds these bytes; the first byte chooses it."""
    folder = _published()
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    path = names[data[0] % len(names)] if data else names[0]
    kept = path.read_bytes()
    path.write_bytes(data[1:])
    try:
        assert all(str(defect) for defect in validate(folder, deep=True))
    finally:
        path.write_bytes(kept)


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (records, files, tars, headers, pixels, replies, servers, rules, addresses, texts, folders)
}


@functools.lru_cache(maxsize=1)
def _folder() -> pathlib.Path:
    folder = tempfile.mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder, True)
    return pathlib.Path(folder)


@functools.lru_cache(maxsize=1)
def _published() -> pathlib.Path:
    from tests.schemas.example import write

    write(_folder() / "published")
    return _folder() / "published"
