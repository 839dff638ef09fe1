"""Takes the encodings off the body of an HTTP response, and makes no more than so many bytes of it.

fastwarc decodes a body whole: a page of 700 bytes could fill the memory.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Sequence

import brotli
import zstandard

_CHUNK = re.compile(rb"\s{0,9}([0-9A-Fa-f]{1,8})[^\r\n]{0,1000}\r?\n")
_MOST_ENCODINGS, _MOST_MEMBERS = 4, 100  # one after the other


def plain(body: bytes, encodings: Sequence[str], most: int) -> bytes:
    """The body without its encodings, which were applied in this order; of a longer one the first `most` bytes.

    Raises ValueError for an encoding that is not known, and for a damaged body.
    """
    names = [name for item in encodings if (name := item.strip().lower()) not in ("", "identity")]
    if len(names) > _MOST_ENCODINGS:
        raise ValueError(f"{len(names)} encodings, one after the other")
    for name in reversed(names):
        decode = _DECODERS.get(name)
        if decode is None:
            raise ValueError("an encoding that is not known")
        try:
            body = decode(body, most)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise ValueError(f"the page is damaged: {type(error).__name__}") from error
    return body


def _chunked(body: bytes, most: int) -> bytes:
    """The chunks put together; a body without any stays as it is, because some crawlers keep only the header."""
    found, at = bytearray(), 0
    while (chunk := _CHUNK.match(body, at)) and (size := int(chunk[1], 16)):
        found += body[chunk.end() : min(chunk.end() + size, chunk.end() + most)]
        at = chunk.end() + size
    return bytes(found[:most]) if at or chunk else body


def _gzip(body: bytes, most: int) -> bytes:
    found = bytearray()
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(body, most - len(found))
        body = member.unused_data
        if not body or len(found) == most:
            break
    return bytes(found)


def _deflate(body: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, most)
    except zlib.error:  # some servers leave the header out
        return zlib.decompressobj(wbits=-15).decompress(body, most)


def _brotli(body: bytes, most: int) -> bytes:
    decoder, found = brotli.Decompressor(), bytearray()
    part = decoder.process(body, output_buffer_limit=most)
    while part and len(found) < most:
        found += part
        part = b"" if decoder.is_finished() else decoder.process(b"", output_buffer_limit=most)
    return bytes(found[:most])


def _zstd(body: bytes, most: int) -> bytes:
    found: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True).read(most)
    return found


_DECODERS = {
    "chunked": _chunked,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
