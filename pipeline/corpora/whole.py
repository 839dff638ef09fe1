"""Files that must be loaded completely before any record can be read: joined tables, pickles.

A process that reads parts of one file, one after the other, loads it once.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.corpora import lines
from pipeline.corpora.fields import BadRecord
from pipeline.corpora.files import Files, cut_each
from pipeline.corpora.parts import Part
from pipeline.storage.uris import read_bytes

Records = list[dict[str, Any] | BadRecord]
MOST_BYTES, MOST_VALUES = 256 << 20, 16_000_000
"""The most of a JSON file that is read whole: VIST's largest has some 7 million values; 16 million take 2 GB at most."""


def table(path: str) -> dict[str, Any]:
    """The JSON object that is a whole file. Raises BadRecord if there is none, or if it is too large."""
    data = bounded(path, MOST_BYTES)
    found = lines.decoded(data, MOST_VALUES)
    if isinstance(found, dict):
        return found
    raise found or BadRecord("bad_json", "the file is empty")


def bounded(path: str, most: int) -> bytes:
    """The file's bytes. Raises BadRecord if there are more than `most`."""
    data = read_bytes(path, most + 1)
    if len(data) > most:
        raise BadRecord("too_long", f"the file has more than {most:,} bytes")
    return data


def whole(load: Callable[[str], Records]) -> Files:
    """How to read files whose records `load(path)` returns all at once; it raises ValueError for a file without any."""

    @functools.lru_cache(maxsize=1)
    def loaded(path: str, changed: float) -> Records:
        return load(path)

    def records(path: str) -> Records:
        return loaded(path, os.path.getmtime(path) if os.path.exists(path) else 0)

    def parts_of(file: Part) -> Iterator[Part]:
        total = len(records(file.file))
        for first in range(0, total, lines.PART_LINES):
            yield dataclasses.replace(file, first=first + 1, count=min(lines.PART_LINES, total - first))

    def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
        assert part.count is not None
        start = part.first - 1
        return iter(enumerate(records(part.file)[start : start + part.count], part.first))

    return Files(cut_each(parts_of), read)
