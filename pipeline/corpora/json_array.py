"""Reads a JSON array of objects as a file of records: it is cut between its elements, and read element by element."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.corpora import lines
from pipeline.corpora.fields import BadRecord
from pipeline.corpora.files import Files, cut_each
from pipeline.corpora.parts import Part
from pipeline.storage.files import open_bytes

_BETWEEN = re.compile(r"[\s,]*")
_START = re.compile(r"(?:\xef\xbb\xbf)?\s*\[")
_BLOCK = 1 << 20
_decode = json.JSONDecoder().raw_decode


def parts_of(file: Part) -> Iterator[Part]:
    """Parts of consecutive elements.

    A file that ends within an element, or is not an array, has one more part with the fault.
    """
    first, count, start, end = 1, 0, 0, 0
    try:
        with open_bytes(file.file) as opened:
            for begin, end in _elements(opened):
                start = start or begin
                count += 1
                if count == lines.PART_LINES or end - start > lines.MAX_LINE:  # a worker holds a part in memory
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
    in UTF-8. An element that is longer than the block is read again in one of twice the size, until it fits.
    """
    text = file.read(_BLOCK).decode("latin-1")
    match = _START.match(text)
    if not match:
        raise ValueError("the file is no JSON array")
    base, size, most = match.end(), _BLOCK, lines.MAX_LINE + _BLOCK
    while True:
        file.seek(base)
        text, at = file.read(size).decode("latin-1"), 0
        decoded = _decodable(text) if size > _BLOCK else text
        while True:
            between = _BETWEEN.match(text, at)
            assert between
            at, end, problem = between.end(), None, ""
            if text[at : at + 1] == "]":
                return
            try:
                _, end = _decode(decoded, at)
            except RecursionError:
                raise ValueError(f"the element at byte {base + at} is nested too deeply") from None
            except ValueError as error:
                problem = str(error)
            if end is None or end == len(text):  # a number could go on in the next block
                break
            yield base + at, base + end
            at = end
            if size > _BLOCK:
                break
        if end is None and len(decoded) < len(text):
            raise ValueError(f"the element at byte {base + at} has more than {lines.MAX_VALUES:,} values")
        if len(text) < size and (end is None or end == len(text)):
            if end is None:
                raise ValueError(f"the array breaks off at byte {base + at}: {problem}")
            yield base + at, base + end
            raise ValueError(f"the array is not closed at byte {base + end}")
        if at == 0 and size == most:
            raise ValueError(f"the element at byte {base} has more than {lines.MAX_LINE:,} bytes")
        base, size = base + at, _BLOCK if at else min(2 * size, most)


def _decodable(text: str) -> str:
    """The text up to the last value that an element may have, if it begins with it; decoded, more would take memory."""
    if sum(map(text.count, ",[{")) <= lines.MAX_VALUES:
        return text
    return text[: next(itertools.islice(re.finditer(r"[,\[{]", text), lines.MAX_VALUES, None)).start()]


FILES = Files(cut_each(parts_of), read)
