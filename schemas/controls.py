"""Control characters, which no text of an instance may hold."""

from __future__ import annotations

import re

from schemas.jsonschema import CONTROL

_CONTROL = re.compile(CONTROL)


def without_controls(text: str) -> str:
    r"""The text without control characters other than tabs and newlines; a carriage return becomes a newline.

    >>> without_controls("a\x1b[1mb\r\nc")
    'a[1mb\nc'
    """
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
