"""The memory that is free for this process and its children: the machine's, or the rest of its control group's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_ROOT = Path("/sys/fs/cgroup")
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""The files of each version of control groups: limit, usage, and the part of the usage that is reclaimable cache."""


def available() -> int:
    """Bytes that can be used without swapping, page cache included."""
    return min([int(psutil.virtual_memory().available), *_left(Path("/proc/self/cgroup"), _ROOT)])


def _left(membership: Path, root: Path) -> Iterator[int]:
    """The free bytes of each control group of this process, and of each one above it."""
    lines = membership.read_text().splitlines() if membership.exists() else []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, version = (root / "memory", 1) if controllers else (root, 2)
        limit, use, cache = _FILES[version]
        group = top / place.strip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            try:
                most = int((folder / limit).read_text())
                stat = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
                yield most - int((folder / use).read_text()) + int(stat[cache])
            except (OSError, ValueError, KeyError):  # no limit ("max"), or not readable
                continue
