"""Files that have to be taken whole before a record can be had: joined tables, pickles.

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
from pipeline.corpora.files import Files, beside
from pipeline.corpora.parts import Format, Part

Records = list[dict[str, Any] | BadRecord]


def whole(load: Callable[[str], Records]) -> Files:
    """Files of which `load(path)` makes the list of all records; it raises ValueError for a file that gives none."""

    @functools.lru_cache(maxsize=1)
    def loaded(path: str, changed: float) -> Records:
        return load(path)

    def records(path: str) -> Records:
        return loaded(path, os.path.getmtime(path) if os.path.exists(path) else 0)

    def cut(part: Part, shape: Format) -> Iterator[Part]:
        for file in beside(part, shape):
            try:
                total = len(records(file.file))
            except (ValueError, LookupError, RecursionError, BadRecord) as error:
                yield dataclasses.replace(file, fault=str(error))
                continue
            for first in range(0, total, lines.PART_LINES):
                yield dataclasses.replace(file, first=first + 1, count=min(lines.PART_LINES, total - first))

    def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
        assert part.count is not None
        start = part.first - 1
        return iter(enumerate(records(part.file)[start : start + part.count], part.first))

    return Files(cut, read)
