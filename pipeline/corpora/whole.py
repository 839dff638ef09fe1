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
from pipeline.corpora.fields import BadRecord, said
from pipeline.corpora.files import Files, beside
from pipeline.corpora.parts import Format, Part

Records = list[dict[str, Any] | BadRecord]


def whole(load: Callable[[str], Records]) -> Files:
    """How to read files whose records `load(path)` returns all at once; it raises ValueError for a file without any."""

    @functools.lru_cache(maxsize=1)
    def loaded(path: str, changed: float) -> Records:
        return load(path)

    def records(path: str) -> Records:
        return loaded(path, os.path.getmtime(path) if os.path.exists(path) else 0)

    def cut(part: Part, shape: Format) -> Iterator[Part]:
        for file in beside(part, shape):
            if file.fault:
                yield file
                continue
            try:
                total = len(records(file.file))
            except (ValueError, LookupError, RecursionError, BadRecord) as error:
                yield dataclasses.replace(file, fault=said(error))
                continue
            for first in range(0, total, lines.PART_LINES):
                yield dataclasses.replace(file, first=first + 1, count=min(lines.PART_LINES, total - first))

    def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
        assert part.count is not None
        start = part.first - 1
        return iter(enumerate(records(part.file)[start : start + part.count], part.first))

    return Files(cut, read)
