"""The messages of a prompt with pictures, as OpenAI-compatible servers take them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from prompts import Prompt
from schemas.errors import BugError


def messages_of(prompt: Prompt, picture: Callable[[str], bytes] | None) -> list[dict[str, Any]]:
    """The messages; the last has the pictures as data URIs before its text.

    picture: the bytes of a stored picture (JPEG or PNG) by its hash.
    """
    if picture is None:
        raise BugError("a client without a store of pictures was given a prompt with pictures")
    *before, last = prompt.messages
    parts = [{"type": "image_url", "image_url": {"url": data_uri(picture(sha256))}} for sha256 in prompt.pictures]
    return [*before, {"role": last["role"], "content": [*parts, {"type": "text", "text": last["content"]}]}]


def data_uri(data: bytes) -> str:
    """The data URI of a stored picture.

    >>> data_uri(bytes([0xFF, 0xD8]))
    'data:image/jpeg;base64,/9g='
    """
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
