"""What a store on a disk holds, read from its files alone."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.storage import packs


def values(folder: Path) -> dict[str, bytes]:
    """The value of each key; what waits in this process is written first."""
    packs.flush()
    found = {}
    for pack in sorted(folder.glob("*.pack")):  # the oldest first
        head, data = int(pack.stem.split("-")[3]), pack.read_bytes()
        for key, (at, size) in json.loads(data[:head]).items():
            found[key] = data[head + at : head + at + size]
    return found
