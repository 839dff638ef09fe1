"""Reads the reply of a server, which may never end, up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `validate` needs no client
    import aiohttp


async def body(reply: aiohttp.ClientResponse, most: int) -> bytes:
    """The bytes of a reply, decompressed; reading stops when there are more than `most`."""
    data = bytearray()
    async for chunk in reply.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > most:
            break
    return bytes(data)
