"""Reads a JSON array of objects as a file of records: it is cut between its elements, and read element by element."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.corpora import lines
from pipeline.corpora.fields import BadRecord
from pipeline.corpora.files import Files, beside
from pipeline.corpora.parts import Format, Part
from pipeline.storage.files import open_bytes

_BETWEEN = re.compile(r"[\s,]*")
_START = re.compile(r"(?:\xef\xbb\xbf)?\s*\[")
_BLOCK = 1 << 20
_decode = json.JSONDecoder().raw_decode


def cut(part: Part, shape: Format) -> Iterator[Part]:
    """Parts of consecutive elements.

    A file that ends within an element, or is not an array, has one more part with the fault.
    """
    for file in beside(part, shape):
        if file.fault:
            yield file
            continue
        first, count, start, end = 1, 0, 0, 0
        try:
            with open_bytes(file.file) as opened:
                for begin, end in _elements(opened):
                    start = start or begin
                    count += 1
                    if count == lines.PART_LINES:
                        yield dataclasses.replace(file, first=first, offset=start, size=end - start, count=count)
                        first, count, start = first + count, 0, 0
            fault = ""
        except ValueError as error:
            fault = str(error)
        if count:
            yield dataclasses.replace(file, first=first, offset=start, size=end - start, count=count)
        if fault:
            yield dataclasses.replace(file, first=first + count, fault=fault)


def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
    """The elements of a part."""
    assert part.size is not None
    with open_bytes(part.file) as file:
        file.seek(part.offset)
        data = file.read(part.size)
    text, at, number = data.decode("latin-1"), 0, part.first
    while at < len(text):
        _, end = _decode(text, at)
        yield number, lines.decoded(data[at:end])
        match = _BETWEEN.match(text, end)
        assert match
        at, number = match.end(), number + 1


def _elements(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """The (first byte, byte after the last) of each element.

    Raises ValueError if the file is not an array, or is damaged.

    To find the ends, bytes are read as Latin-1: then each character is one byte, and JSON's own characters are the same
    in UTF-8.
    """
    text = file.read(_BLOCK).decode("latin-1")
    match = _START.match(text)
    if not match:
        raise ValueError("the file is no JSON array")
    base, at = 0, match.end()
    while True:
        between = _BETWEEN.match(text, at)
        assert between
        at = between.end()
        if text[at : at + 1] == "]":
            return
        end = None
        try:
            _, end = _decode(text, at)
        except ValueError as error:
            problem = str(error)
        if end is None or end == len(text):  # a number could go on in the next block
            more = file.read(_BLOCK).decode("latin-1")
            if not more or len(text) - at > lines.MAX_LINE:
                if end is None:
                    raise ValueError(f"the array breaks off at byte {base + at}: {problem}")
                yield base + at, base + end
                raise ValueError(f"the array is not closed at byte {base + end}")
            base, text, at = base + at, text[at:] + more, 0
            continue
        yield base + at, base + end
        at = end


FILES = Files(cut, read)
